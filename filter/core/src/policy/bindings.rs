//! Which variables of a query have one value, and which have one for each solution.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, Literal, LiteralStmt, Query, Span};

use super::rules::{Definition, Root, Rules};
use super::syntax::{
    self, Comprehension, Scope, children, comprehension, declared, pattern_variables,
    statement_expressions, variable,
};

/// A query, with what is evaluated for each of its solutions.
pub(super) struct Solutions<'a> {
    /// Variables that the surrounding queries and the function's parameters bind.
    pub(super) outer: BTreeSet<&'a str>,
    /// A rule without a body has none.
    pub(super) query: Option<&'a Query>,
    pub(super) terms: Terms<'a>,
}

/// What is evaluated for each solution of a query.
#[derive(Clone, Copy)]
pub(super) enum Terms<'a> {
    /// A body of a rule, `else` included.
    Body {
        /// The key of an object's definition.
        key: Option<&'a Expr>,
        /// Absent where it is `true`.
        value: Option<&'a Expr>,
    },
    Comprehension(Comprehension<'a>),
    /// Nothing; the query has to hold for all elements.
    Every,
}

impl<'a> Terms<'a> {
    pub(super) fn expressions(self) -> impl Iterator<Item = &'a Expr> {
        let (key, value) = match self {
            Self::Body { key, value } => (key, value),
            Self::Comprehension(Comprehension { key, term, .. }) => (key, Some(term)),
            Self::Every => (None, None),
        };
        key.into_iter().chain(value)
    }
}

/// All queries of a definition, outer ones first. The bodies come in their order.
pub(super) fn each_solutions<'a>(
    definition: &Definition<'a>,
    visit: &mut dyn FnMut(Solutions<'a>),
) {
    let mut outer = BTreeSet::new();
    for parameter in definition.parameters() {
        pattern_variables(parameter, &mut outer);
    }
    for (query, terms) in bodies(definition) {
        descend(Solutions { outer: outer.clone(), query, terms }, visit);
    }
}

/// The bodies of a definition with their values; one without a query if it has no body.
pub(super) fn bodies<'a>(definition: &Definition<'a>) -> Vec<(Option<&'a Query>, Terms<'a>)> {
    let key = definition.key();
    let head = Terms::Body { key, value: definition.value() };
    let bodies = definition.bodies();
    if bodies.is_empty() {
        return vec![(None, head)];
    }
    let of_body = |(index, body): (usize, &'a regorus::unstable::RuleBody)| {
        let terms = match &body.assign {
            None if index == 0 => head,
            assign => Terms::Body { key, value: assign.as_ref().map(|assign| &*assign.value) },
        };
        (Some(&*body.query), terms)
    };
    bodies.iter().enumerate().map(of_body).collect()
}

fn descend<'a>(solutions: Solutions<'a>, visit: &mut dyn FnMut(Solutions<'a>)) {
    let Solutions { ref outer, query, terms } = solutions;
    let mut inside = outer.clone();
    let mut inner = Vec::new();
    let mut universal = Vec::new();
    if let Some(query) = query {
        inside.extend(bound(query));
        for statement in &query.stmts {
            for expr in statement_expressions(statement) {
                comprehensions(expr, &mut inner);
            }
            if let Literal::Every { key, value, query, .. } = &statement.literal {
                universal.push((key.iter().chain([value]).map(Span::text), &**query));
            }
        }
    }
    for term in terms.expressions() {
        comprehensions(term, &mut inner);
    }
    visit(solutions);
    for comprehension in inner {
        descend(
            Solutions {
                outer: inside.clone(),
                query: Some(comprehension.query),
                terms: Terms::Comprehension(comprehension),
            },
            visit,
        );
    }
    for (names, query) in universal {
        let mut outer = inside.clone();
        outer.extend(names);
        descend(Solutions { outer, query: Some(query), terms: Terms::Every }, visit);
    }
}

/// The comprehensions directly in an expression, but for those in others.
fn comprehensions<'a>(expr: &'a Expr, found: &mut Vec<Comprehension<'a>>) {
    found.extend(comprehension(expr));
    for child in children(expr) {
        comprehensions(child, found);
    }
}

/// The variables that a query binds: those that occur in it other than under `not` or `every`.
pub(super) fn bound(query: &Query) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for statement in &query.stmts {
        match &statement.literal {
            Literal::SomeIn { .. } | Literal::Expr { .. } => {
                for expr in statement_expressions(statement) {
                    occurring(expr, &mut names);
                }
            }
            Literal::SomeVars { .. } | Literal::NotExpr { .. } | Literal::Every { .. } => {}
        }
    }
    names
}

/// The variables in an expression, but for those in comprehensions.
fn occurring<'a>(expr: &'a Expr, names: &mut BTreeSet<&'a str>) {
    names.extend(variable(expr).filter(|name| *name != "_"));
    for child in children(expr) {
        occurring(child, names);
    }
}

/// The variables that are the same in all solutions of a query.
pub(super) struct Determined<'r, 'a> {
    rules: &'r Rules<'a>,
    definition: &'r Definition<'a>,
    /// Where these names stand for rules elsewhere, here they are variables.
    declared: BTreeSet<&'a str>,
    bound: BTreeSet<&'a str>,
    names: BTreeSet<&'a str>,
}

impl<'r, 'a> Determined<'r, 'a> {
    /// The variables of `query` that follow from those which are `fixed`.
    pub(super) fn by(
        rules: &'r Rules<'a>,
        definition: &'r Definition<'a>,
        fixed: BTreeSet<&'a str>,
        query: Option<&'a Query>,
    ) -> Self {
        let mut determined = Self {
            rules,
            definition,
            declared: query.map(declared).unwrap_or_default(),
            bound: query.map(bound).unwrap_or_default(),
            names: fixed,
        };
        let statements = query.map_or(&[][..], |query| &query.stmts);
        loop {
            let before = determined.names.len();
            for statement in statements {
                determined.extend(statement);
            }
            if determined.names.len() == before {
                return determined;
            }
        }
    }

    /// A part of an expression that differs between solutions.
    pub(super) fn undetermined(&self, expr: &'a Expr) -> Option<&'a Expr> {
        if let Some(name) = variable(expr) {
            return (!self.is_fixed(name)).then_some(expr);
        }
        if comprehension(expr).is_some() {
            return self.undetermined_in_comprehension(expr);
        }
        children(expr).into_iter().find_map(|child| self.undetermined(child))
    }

    /// What makes a query have several solutions.
    pub(super) fn iterates(&self, query: &'a Query) -> Option<&'a Expr> {
        query.stmts.iter().find_map(|statement| {
            match &statement.literal {
                Literal::SomeIn { value, .. } => Some(&**value),
                Literal::Expr { expr, .. } => self.open_index(expr),
                // These hold or don't; they have no solutions of their own.
                Literal::SomeVars { .. } | Literal::NotExpr { .. } | Literal::Every { .. } => None,
            }
        })
    }

    /// An index that is not determined: it stands for all of them.
    fn open_index(&self, expr: &'a Expr) -> Option<&'a Expr> {
        if let Expr::RefBrack { index, .. } = expr
            && let Some(open) = self.undetermined(index)
        {
            return Some(open);
        }
        children(expr).into_iter().find_map(|child| self.open_index(child))
    }

    fn has_one_value(&self, expr: &'a Expr) -> bool {
        self.undetermined(expr).is_none()
    }

    /// A comprehension differs where it uses a variable of the query that differs.
    fn undetermined_in_comprehension(&self, expr: &'a Expr) -> Option<&'a Expr> {
        let mut found = None;
        syntax::each_in_expression(expr, &mut Scope::default(), &mut |part, own| {
            if let Some(name) = variable(part)
                && self.bound.contains(name)
                && !own.contains(name)
                && !self.is_fixed(name)
            {
                found.get_or_insert(part);
            }
        });
        found
    }

    fn is_fixed(&self, name: &str) -> bool {
        if self.names.contains(name) {
            return true;
        }
        if self.declared.contains(name) {
            return false;
        }
        match self.rules.root(name, self.definition, &Scope::default()) {
            Root::Input | Root::Data(_) => true,
            Root::Local => false,
        }
    }

    fn extend(&mut self, statement: &'a LiteralStmt) {
        match &statement.literal {
            Literal::SomeIn { key: Some(key), value, collection, .. }
                if self.has_one_value(key) && self.has_one_value(collection) =>
            {
                pattern_variables(value, &mut self.names);
            }
            Literal::Expr { expr, .. } => {
                if let Expr::AssignExpr { lhs, rhs, .. } = &**expr {
                    for (from, to) in [(rhs, lhs), (lhs, rhs)] {
                        if self.has_one_value(from) {
                            pattern_variables(to, &mut self.names);
                        }
                    }
                }
            }
            Literal::SomeIn { .. }
            | Literal::SomeVars { .. }
            | Literal::NotExpr { .. }
            | Literal::Every { .. } => {}
        }
    }
}

/// The variables that a key gives away: two solutions with one key have the same values for them.
pub(super) fn told_by_key(key: &Expr) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    pattern_variables(key, &mut names);
    names
}

/// An index in a term that nothing binds.
pub(super) fn unbound_index<'a>(
    rules: &Rules<'a>,
    definition: &Definition<'a>,
    solutions: &Solutions<'a>,
    expr: &'a Expr,
) -> Option<&'a Expr> {
    let mut names = solutions.outer.clone();
    names.extend(solutions.query.map(bound).unwrap_or_default());
    Determined { rules, definition, declared: BTreeSet::new(), bound: BTreeSet::new(), names }
        .open_index(expr)
}
