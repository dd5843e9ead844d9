//! Reading regorus' syntax tree: what an expression consists of, and which names are local.

use std::collections::BTreeSet;

use regorus::Value;
use regorus::unstable::{
    AssignOp, Expr, Import, Literal, LiteralStmt, Module, Query, Rule, RuleHead, Span,
};

use crate::diagnostic::Place;

/// The place where a span begins.
pub(super) fn place(span: &Span) -> Place {
    let offset = usize::try_from(span.start).unwrap_or(usize::MAX);
    Place::at_offset(span.source.file(), span.source.contents(), offset)
}

/// The name of a variable.
pub(super) fn variable(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Var { value: Value::String(name), .. } => Some(name),
        _ => None,
    }
}

/// The components of a reference without variables, such as `data.a["b"]`.
pub(super) fn static_path(expr: &Expr) -> Option<Vec<&str>> {
    let (root, steps) = reference(expr);
    let mut path = vec![variable(root)?];
    for step in steps {
        path.push(step.name()?);
    }
    Some(path)
}

/// One step of a reference.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Field(&'a str),
    Index(&'a Expr),
}

impl<'a> Step<'a> {
    /// The step's name, if it does not depend on a variable.
    pub(super) fn name(self) -> Option<&'a str> {
        match self {
            Self::Field(name) => Some(name),
            Self::Index(Expr::String { value, .. } | Expr::RawString { value, .. }) => {
                match value {
                    Value::String(name) => Some(name),
                    _ => None,
                }
            }
            Self::Index(_) => None,
        }
    }
}

/// What a reference starts from, and its steps. Any expression is a reference of no steps.
pub(super) fn reference(mut expr: &Expr) -> (&Expr, Vec<Step<'_>>) {
    let mut steps = Vec::new();
    loop {
        match expr {
            Expr::RefDot { refr, field, .. } => {
                if let Value::String(name) = &field.1 {
                    steps.push(Step::Field(name));
                }
                expr = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                steps.push(Step::Index(index));
                expr = refr;
            }
            _ => break,
        }
    }
    steps.reverse();
    (expr, steps)
}

/// A comprehension: its terms are evaluated for each solution of its query.
#[derive(Clone, Copy)]
pub(super) struct Comprehension<'a> {
    /// The key of an object comprehension.
    pub(super) key: Option<&'a Expr>,
    pub(super) term: &'a Expr,
    pub(super) query: &'a Query,
}

/// An expression, if it is a comprehension.
pub(super) fn comprehension(expr: &Expr) -> Option<Comprehension<'_>> {
    match expr {
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            Some(Comprehension { key: None, term, query })
        }
        Expr::ObjectCompr { key, value, query, .. } => {
            Some(Comprehension { key: Some(key), term: value, query })
        }
        _ => None,
    }
}

/// The expressions directly in an expression. The name of a called function is none of them, and
/// a comprehension has none: it is a scope of its own.
pub(super) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. }
        | Expr::ArrayCompr { .. }
        | Expr::SetCompr { .. }
        | Expr::ObjectCompr { .. } => vec![],
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().map(|e| &**e).collect(),
        Expr::Object { fields, .. } => {
            fields.iter().flat_map(|(_, key, value)| [&**key, &**value]).collect()
        }
        Expr::Call { params, .. } => params.iter().map(|e| &**e).collect(),
        Expr::UnaryExpr { expr, .. } | Expr::RefDot { refr: expr, .. } => vec![expr],
        Expr::RefBrack { refr, index, .. } => vec![refr, index],
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => vec![lhs, rhs],
        Expr::Membership { key, value, collection, .. } => {
            key.iter().map(|e| &**e).chain([&**value, &**collection]).collect()
        }
    }
}

/// The expressions directly in a statement, without those in the body of an `every`.
pub(super) fn statement_expressions(statement: &LiteralStmt) -> Vec<&Expr> {
    match &statement.literal {
        Literal::SomeVars { .. } => vec![],
        Literal::SomeIn { key, value, collection, .. } => {
            key.iter().map(|e| &**e).chain([&**value, &**collection]).collect()
        }
        Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => vec![expr],
        Literal::Every { domain, .. } => vec![domain],
    }
}

/// The variables that a pattern binds.
pub(super) fn pattern_variables<'a>(pattern: &'a Expr, names: &mut BTreeSet<&'a str>) {
    match pattern {
        Expr::Var { .. } => names.extend(variable(pattern).filter(|name| *name != "_")),
        Expr::Array { items, .. } => {
            for item in items {
                pattern_variables(item, names);
            }
        }
        Expr::Object { fields, .. } => {
            for (_, _, value) in fields {
                pattern_variables(value, names);
            }
        }
        _ => {}
    }
}

/// The variables that a query declares: by `some`, by `:=`.
pub(super) fn declared(query: &Query) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for statement in &query.stmts {
        match &statement.literal {
            Literal::SomeVars { vars, .. } => names.extend(vars.iter().map(Span::text)),
            Literal::SomeIn { key, value, .. } => {
                if let Some(key) = key {
                    pattern_variables(key, &mut names);
                }
                pattern_variables(value, &mut names);
            }
            Literal::Expr { expr, .. } => {
                if let Expr::AssignExpr { op: AssignOp::ColEq, lhs, .. } = &**expr {
                    pattern_variables(lhs, &mut names);
                }
            }
            Literal::NotExpr { .. } | Literal::Every { .. } => {}
        }
    }
    names
}

/// Calls `visit` for every expression of a rule, outer ones first, with the names that are local
/// where it stands.
pub(super) fn each_expression<'a>(rule: &'a Rule, visit: &mut dyn FnMut(&'a Expr, &Scope<'a>)) {
    let mut scope = Scope::default();
    match rule {
        Rule::Default { value, .. } => each_in_expression(value, &mut scope, visit),
        Rule::Spec { head, bodies, .. } => {
            if let RuleHead::Func { args, .. } = head {
                let mut names = BTreeSet::new();
                for arg in args {
                    pattern_variables(arg, &mut names);
                }
                scope.0.push(names);
            }
            for (index, body) in bodies.iter().enumerate() {
                scope.0.push(declared(&body.query));
                each_in_query(&body.query, &mut scope, visit);
                if let Some(assign) = &body.assign {
                    each_in_expression(&assign.value, &mut scope, visit);
                }
                if index == 0 {
                    each_in_head(head, &mut scope, visit);
                }
                scope.0.pop();
            }
            if bodies.is_empty() {
                each_in_head(head, &mut scope, visit);
            }
        }
    }
}

/// The names that are local at some place of a rule.
#[derive(Default)]
pub(super) struct Scope<'a>(Vec<BTreeSet<&'a str>>);

impl Scope<'_> {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|names| names.contains(name))
    }
}

fn each_in_head<'a>(
    head: &'a RuleHead,
    scope: &mut Scope<'a>,
    visit: &mut dyn FnMut(&'a Expr, &Scope<'a>),
) {
    let (terms, assign) = match head {
        RuleHead::Compr { refr, assign, .. } => {
            let key = match &**refr {
                Expr::RefBrack { index, .. } => Some(index),
                _ => None,
            };
            (key.into_iter().collect(), assign)
        }
        RuleHead::Set { key, .. } => (key.iter().collect::<Vec<_>>(), &None),
        RuleHead::Func { args, assign, .. } => (args.iter().collect(), assign),
    };
    let value = assign.as_ref().map(|assign| &assign.value);
    for term in terms.into_iter().chain(value) {
        each_in_expression(term, scope, visit);
    }
}

fn each_in_query<'a>(
    query: &'a Query,
    scope: &mut Scope<'a>,
    visit: &mut dyn FnMut(&'a Expr, &Scope<'a>),
) {
    for statement in &query.stmts {
        for expr in statement_expressions(statement) {
            each_in_expression(expr, scope, visit);
        }
        if let Literal::Every { key, value, query, .. } = &statement.literal {
            let mut names = declared(query);
            names.extend(key.iter().chain([value]).map(Span::text));
            scope.0.push(names);
            each_in_query(query, scope, visit);
            scope.0.pop();
        }
    }
}

/// As [`each_expression`], within an expression.
pub(super) fn each_in_expression<'a>(
    expr: &'a Expr,
    scope: &mut Scope<'a>,
    visit: &mut dyn FnMut(&'a Expr, &Scope<'a>),
) {
    visit(expr, scope);
    if let Some(Comprehension { key, term, query }) = comprehension(expr) {
        scope.0.push(declared(query));
        each_in_query(query, scope, visit);
        for term in key.into_iter().chain([term]) {
            each_in_expression(term, scope, visit);
        }
        scope.0.pop();
    }
    for child in children(expr) {
        each_in_expression(child, scope, visit);
    }
}

/// The value of a constant: scalars, and arrays, sets and objects of constants.
pub(super) fn constant(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::String { value, .. }
        | Expr::RawString { value, .. }
        | Expr::Number { value, .. }
        | Expr::Bool { value, .. }
        | Expr::Null { value, .. } => Some(value.clone()),
        Expr::Array { items, .. } => {
            items.iter().map(|item| constant(item)).collect::<Option<Vec<_>>>().map(Value::from)
        }
        Expr::Set { items, .. } => items
            .iter()
            .map(|item| constant(item))
            .collect::<Option<BTreeSet<_>>>()
            .map(Value::from),
        Expr::Object { fields, .. } => fields
            .iter()
            .map(|(_, key, value)| Some((constant(key)?, constant(value)?)))
            .collect::<Option<std::collections::BTreeMap<_, _>>>()
            .map(Value::from),
        _ => None,
    }
}

/// The name that an import gives to its path.
pub(super) fn import_name(import: &Import) -> Option<&str> {
    match &import.r#as {
        Some(alias) => Some(alias.text()),
        None => static_path(&import.refr)?.last().copied(),
    }
}

/// The path of a module's package, without `data`.
pub(super) fn package(module: &Module) -> Vec<String> {
    static_path(&module.package.refr).unwrap_or_default().into_iter().map(str::to_owned).collect()
}
