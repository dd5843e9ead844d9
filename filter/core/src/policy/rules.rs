//! The rules of a policy by path, over all its modules.

use std::collections::BTreeMap;

use regorus::unstable::{Expr, Module, Rule, RuleBody, RuleHead, Span};

use super::error::PolicyError;
use super::syntax::{self, Scope, Step, constant, place, static_path, variable};
use crate::diagnostic::Diagnostic;

/// A rule's path without `data`, such as `kubelet.authz.decision`.
pub(super) type Path = Vec<String>;

/// How people write a path.
pub(super) fn dotted<S: AsRef<str>>(path: &[S]) -> String {
    path.iter().fold("data".to_owned(), |mut text, part| {
        text.push('.');
        text.push_str(part.as_ref());
        text
    })
}

/// All rules, each with all its definitions.
pub(super) struct Rules<'a> {
    modules: Vec<Names<'a>>,
    groups: BTreeMap<Path, Group<'a>>,
}

/// What a module's names stand for.
struct Names<'a> {
    package: Path,
    /// By name: the path with `data` or `input` in front.
    imports: BTreeMap<&'a str, Vec<&'a str>>,
}

/// What a rule gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One value.
    Complete,
    /// One value for so many arguments.
    Function(usize),
    /// A set, an element a definition: `x contains y`.
    Set,
    /// An object, a key a definition: `x[y] := z`.
    Object,
}

impl Kind {
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Complete => "a rule with one value",
            Self::Function(_) => "a function",
            Self::Set => "a set",
            Self::Object => "an object",
        }
    }
}

/// One rule.
pub(super) struct Group<'a> {
    pub(super) kind: Kind,
    /// In the order of the modules' names. Empty if there is but a default.
    pub(super) definitions: Vec<Definition<'a>>,
    default: Option<&'a Span>,
}

impl<'a> Group<'a> {
    /// Where its default is.
    #[cfg(feature = "explain")]
    pub(super) fn default(&self) -> Option<&'a Span> {
        self.default
    }

    /// Where the rule is defined first.
    pub(super) fn span(&self) -> Option<&'a Span> {
        let first = self.definitions.first().map(|d| d.span);
        first.or(self.default)
    }
}

/// One definition of a rule.
pub(super) struct Definition<'a> {
    pub(super) rule: &'a Rule,
    pub(super) head: &'a RuleHead,
    pub(super) span: &'a Span,
    pub(super) module: usize,
}

impl<'a> Definition<'a> {
    /// The head alone.
    pub(super) fn head_span(&self) -> &'a Span {
        match self.head {
            RuleHead::Compr { span, .. }
            | RuleHead::Set { span, .. }
            | RuleHead::Func { span, .. } => span,
        }
    }

    /// The parameters of a function.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'a Expr> {
        let args = match self.head {
            RuleHead::Func { args, .. } => args.as_slice(),
            RuleHead::Compr { .. } | RuleHead::Set { .. } => &[],
        };
        args.iter().map(|arg| &**arg)
    }

    /// The bodies, the ones after `else` included.
    pub(super) fn bodies(&self) -> &'a [RuleBody] {
        match self.rule {
            Rule::Spec { bodies, .. } => bodies,
            Rule::Default { .. } => &[],
        }
    }

    /// The key of a definition of an object.
    pub(super) fn key(&self) -> Option<&'a Expr> {
        match self.head {
            RuleHead::Compr { refr, .. } => match &**refr {
                Expr::RefBrack { index, .. } => Some(index),
                _ => None,
            },
            RuleHead::Set { .. } | RuleHead::Func { .. } => None,
        }
    }

    /// The value in the head; a definition without one gives `true`.
    pub(super) fn value(&self) -> Option<&'a Expr> {
        match self.head {
            RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => {
                assign.as_ref().map(|assign| &*assign.value)
            }
            RuleHead::Set { key, .. } => key.as_deref(),
        }
    }
}

/// What a name in an expression stands for.
pub(super) enum Root {
    Input,
    /// Below `data`: a rule, a package or a base document.
    Data(Path),
    /// Bound in the rule.
    Local,
}

impl<'a> Rules<'a> {
    /// Collects the rules of all modules.
    pub(super) fn collect(
        modules: impl IntoIterator<Item = &'a Module>,
    ) -> Result<Self, PolicyError> {
        let mut rules = Self { modules: Vec::new(), groups: BTreeMap::new() };
        for (index, module) in modules.into_iter().enumerate() {
            let package = syntax::package(module);
            for rule in &module.policy {
                rules.add(&package, index, rule)?;
            }
            let imports = module.imports.iter().filter_map(|import| {
                Some((syntax::import_name(import)?, static_path(&import.refr)?))
            });
            rules.modules.push(Names {
                package,
                imports: imports
                    .filter(|(_, path)| matches!(path.first(), Some(&("data" | "input"))))
                    .collect(),
            });
        }
        rules.check_paths()?;
        Ok(rules)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &Group<'a>)> {
        self.groups.iter()
    }

    pub(super) fn get(&self, path: &[String]) -> Option<&Group<'a>> {
        self.groups.get(path)
    }

    /// All definitions of all rules.
    pub(super) fn definitions(&self) -> impl Iterator<Item = &Definition<'a>> {
        self.groups.values().flat_map(|group| &group.definitions)
    }

    /// The rule that a path names or leads into.
    pub(super) fn rule_on(&self, path: &[String]) -> Option<&Path> {
        (1..=path.len())
            .filter_map(|length| self.groups.get_key_value(path.get(..length)?))
            .map(|(path, _)| path)
            .next()
    }

    /// The first rule below a path.
    pub(super) fn rule_below(&self, path: &[String]) -> Option<&Path> {
        self.groups
            .range(path.to_vec()..)
            .map(|(path, _)| path)
            .next()
            .filter(|found| found.starts_with(path))
    }

    /// What a name stands for where it is used.
    pub(super) fn root(&self, name: &str, definition: &Definition<'_>, scope: &Scope<'_>) -> Root {
        if scope.contains(name) {
            return Root::Local;
        }
        match name {
            "input" => return Root::Input,
            "data" => return Root::Data(Vec::new()),
            _ => {}
        }
        let Some(names) = self.modules.get(definition.module) else {
            return Root::Local;
        };
        let mut path = names.package.clone();
        path.push(name.to_owned());
        if self.groups.contains_key(&path) {
            return Root::Data(path);
        }
        match names.imports.get(name).map(Vec::as_slice) {
            Some(["input", ..]) => Root::Input,
            Some([_, path @ ..]) => Root::Data(path.iter().map(|&part| part.to_owned()).collect()),
            Some([]) | None => Root::Local,
        }
    }

    /// The user-defined rule that a call names; otherwise the name is a builtin's.
    pub(super) fn callee(&self, name: &[&str], definition: &Definition<'_>) -> Option<&Path> {
        let (first, rest) = name.split_first()?;
        let names = self.modules.get(definition.module)?;
        let owned = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect::<Path>();
        let imported = match names.imports.get(first).map(Vec::as_slice) {
            Some(["data", path @ ..]) => Some([path, rest].concat()),
            _ => None,
        };
        let absolute = (*first == "data").then(|| owned(rest));
        let local = [names.package.clone(), owned(name)].concat();
        [absolute, imported.map(|path| owned(&path)), Some(local)]
            .into_iter()
            .flatten()
            .find_map(|path| self.groups.get_key_value(&path))
            .map(|(path, _)| path)
    }

    fn add(
        &mut self,
        package: &[String],
        module: usize,
        rule: &'a Rule,
    ) -> Result<(), PolicyError> {
        let (refr, kind) = match rule {
            Rule::Default { span, refr, args, value, .. } => {
                return self.add_default(package, span, refr, args.is_empty(), value);
            }
            Rule::Spec { head, .. } => match head {
                RuleHead::Func { refr, args, .. } => (refr, Kind::Function(args.len())),
                RuleHead::Set { refr, .. } => (refr, Kind::Set),
                RuleHead::Compr { refr, .. } => match &**refr {
                    Expr::RefBrack { refr, index, .. } if constant(index).is_none() => {
                        (refr, Kind::Object)
                    }
                    _ => (refr, Kind::Complete),
                },
            },
        };
        let Rule::Spec { head, span, .. } = rule else {
            return Ok(());
        };
        let path = rule_path(package, refr)?;
        let definition = Definition { rule, head, span, module };
        let group = self.groups.entry(path.clone()).or_insert_with(|| Group {
            kind,
            definitions: Vec::new(),
            default: None,
        });
        if group.kind != kind
            && let Some(first) = group.span()
        {
            let message = match (group.kind, kind) {
                (Kind::Function(first), Kind::Function(second)) => format!(
                    "`{}` is a function of {first} arguments and of {second}",
                    dotted(&path)
                ),
                (first, second) => {
                    format!("`{}` is {} and {}", dotted(&path), first.describe(), second.describe())
                }
            };
            return Err(PolicyError::Overlap(
                Diagnostic::new(message)
                    .at(place(first))
                    .at(place(span))
                    .help("give one of them another name"),
            ));
        }
        group.definitions.push(definition);
        Ok(())
    }

    fn add_default(
        &mut self,
        package: &[String],
        span: &'a Span,
        refr: &Expr,
        is_rule: bool,
        value: &Expr,
    ) -> Result<(), PolicyError> {
        if !is_rule {
            return Err(PolicyError::Unsupported(
                Diagnostic::new("the register VM ignores the default of a function")
                    .at(place(span))
                    .help("end the function's definition with `else := …`"),
            ));
        }
        if constant(value).is_none() {
            return Err(PolicyError::Unsupported(
                Diagnostic::new("the value of a default must be a constant")
                    .at(place(value.span()))
                    .help("use `else := …` for a value that depends on something"),
            ));
        }
        let path = rule_path(package, refr)?;
        let group = self.groups.entry(path.clone()).or_insert_with(|| Group {
            kind: Kind::Complete,
            definitions: Vec::new(),
            default: None,
        });
        if let Some(first) = group.default {
            return Err(PolicyError::Overlap(
                Diagnostic::new(format!("`{}` has two defaults", dotted(&path)))
                    .at(place(first))
                    .at(place(span))
                    .help("keep one of them"),
            ));
        }
        if group.kind != Kind::Complete {
            return Err(PolicyError::Overlap(
                Diagnostic::new(format!(
                    "`{}` is {} and can't have a default",
                    dotted(&path),
                    group.kind.describe()
                ))
                .at(place(span))
                .help("remove the default; without a definition that holds it is empty"),
            ));
        }
        group.default = Some(span);
        Ok(())
    }

    /// No rule may be within another's value, nor a package within a rule's.
    fn check_paths(&self) -> Result<(), PolicyError> {
        for ((outer, first), (inner, second)) in self.groups.iter().zip(self.groups.iter().skip(1))
        {
            if !inner.starts_with(outer) {
                continue;
            }
            let mut diagnostic = Diagnostic::new(format!(
                "`{}` is within the value of `{}`",
                dotted(inner),
                dotted(outer)
            ));
            diagnostic.places =
                [first, second].iter().filter_map(|group| group.span().map(place)).collect();
            return Err(PolicyError::Overlap(
                diagnostic.help("give the rule or the package another name"),
            ));
        }
        Ok(())
    }
}

/// The path of a rule. Its name has to be one word: the register VM reads an object made of
/// `a.b := …` as undefined, and `a[b] contains …` as one flat set.
fn rule_path(package: &[String], refr: &Expr) -> Result<Path, PolicyError> {
    match variable(refr) {
        Some(name) => Ok([package, &[name.to_owned()]].concat()),
        None => Err(PolicyError::Unsupported(
            Diagnostic::new("the name of a rule must be one word").at(place(refr.span())).help(
                "name it `a_b` or put it into a package of its own, instead of `a.b` or `a[\"b\"]`",
            ),
        )),
    }
}

/// One use of a name with what follows it.
pub(super) struct Reference<'a> {
    pub(super) root: &'a str,
    pub(super) steps: Vec<Step<'a>>,
    pub(super) span: &'a Span,
}

/// Calls `visit` for every reference of a rule, as long as it is, but for the names of functions.
pub(super) fn each_reference<'a>(rule: &'a Rule, visit: &mut dyn FnMut(Reference<'a>, &Scope<'a>)) {
    // A reference contains shorter ones; only the longest one counts.
    let mut inner = std::collections::BTreeSet::new();
    syntax::each_expression(rule, &mut |expr, scope| {
        if let Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } = expr {
            inner.insert(std::ptr::from_ref(&**refr));
        }
        if inner.contains(&std::ptr::from_ref(expr)) {
            return;
        }
        let (root, steps) = syntax::reference(expr);
        if let Some(name) = variable(root) {
            visit(Reference { root: name, steps, span: expr.span() }, scope);
        }
    });
}
