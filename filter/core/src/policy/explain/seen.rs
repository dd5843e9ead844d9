//! What an expression is made of: the parts worth showing, and the rules in it.

use regorus::unstable::{AssignOp, Expr, Literal, LiteralStmt};

use super::super::rules::{Definition, Path, Root, Rules};
use super::super::syntax::{
    Scope, Step, children, comprehension, constant, reference, statement_expressions, static_path,
    variable,
};

/// The parts of one statement.
#[derive(Default)]
pub(super) struct Parts<'a> {
    /// What has a value to be shown: references, calls, comprehensions.
    pub(super) shown: Vec<&'a Expr>,
    pub(super) uses: Vec<Use<'a>>,
}

/// A rule of the policy that is used.
pub(super) struct Use<'a> {
    pub(super) path: Path,
    /// The arguments, of a function.
    pub(super) arguments: Option<Vec<&'a Expr>>,
}

impl<'a> Parts<'a> {
    pub(super) fn of_statement(
        rules: &Rules<'a>,
        definition: &Definition<'a>,
        statement: &'a LiteralStmt,
    ) -> Self {
        let mut parts = Self::default();
        match &statement.literal {
            // The pattern has no value: there is no solution.
            Literal::SomeIn { collection, .. } => parts.add(rules, definition, collection),
            Literal::Expr { expr, .. } => match &**expr {
                Expr::AssignExpr { op: AssignOp::ColEq, rhs, .. } => {
                    parts.add(rules, definition, rhs)
                }
                expr => parts.add(rules, definition, expr),
            },
            Literal::NotExpr { .. } | Literal::Every { .. } | Literal::SomeVars { .. } => {
                for expr in statement_expressions(statement) {
                    parts.add(rules, definition, expr);
                }
            }
        }
        parts
    }

    pub(super) fn of_expression(
        rules: &Rules<'a>,
        definition: &Definition<'a>,
        expr: &'a Expr,
    ) -> Self {
        let mut parts = Self::default();
        parts.add(rules, definition, expr);
        parts
    }

    fn add(&mut self, rules: &Rules<'a>, definition: &Definition<'a>, expr: &'a Expr) {
        if constant(expr).is_some() {
            return;
        }
        if comprehension(expr).is_some() {
            self.shown.push(expr);
            return;
        }
        if let Expr::Call { fcn, params, .. } = expr {
            self.shown.push(expr);
            let callee = static_path(fcn).and_then(|name| rules.callee(&name, definition));
            if let Some(path) = callee {
                let arguments = Some(params.iter().map(|param| &**param).collect());
                self.uses.push(Use { path: path.clone(), arguments });
            }
            for param in params {
                self.add(rules, definition, param);
            }
            return;
        }
        let (root, steps) = reference(expr);
        match variable(root) {
            Some("_") => {}
            Some(name) => {
                self.shown.push(expr);
                self.use_rule(rules, definition, name, &steps);
            }
            None => {
                for child in children(expr) {
                    self.add(rules, definition, child);
                }
            }
        }
    }

    fn use_rule(
        &mut self,
        rules: &Rules<'a>,
        definition: &Definition<'a>,
        name: &str,
        steps: &[Step<'a>],
    ) {
        let Root::Data(mut path) = rules.root(name, definition, &Scope::default()) else {
            return;
        };
        path.extend(steps.iter().map_while(|step| step.name()).map(str::to_owned));
        if let Some(rule) = rules.rule_on(&path) {
            self.uses.push(Use { path: rule.clone(), arguments: None });
        }
    }
}
