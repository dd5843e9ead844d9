//! What can be wrong with a certificate, one thing at a time, so that a test refuses it for that.

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use time::{Duration, OffsetDateTime};

use crate::authority::{Authority, Leaf, Pair, Validity};
use crate::identity::dns_name;
use crate::{Error, Identity, Options};

/// The one thing that is wrong with an otherwise right certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It ended a day ago.
    Expired,
    /// It begins in a day.
    NotYetValid,
    /// A stranger signed it, a CA of the right name with another key.
    WrongCa,
    /// A client's certificate may only serve, a server's may only be a client.
    WrongUsage,
    /// A server's certificate names nobody, except in its subject, where nobody may look.
    NoNames,
    /// A server's certificate names `elsewhere.invalid`.
    WrongName,
    /// A server's certificate has a name that breaks out of JSON and commands a terminal.
    HostileName,
}

impl Flaw {
    pub(crate) fn issue(
        self,
        identity: &Identity,
        authority: &Authority,
        options: &Options,
        now: OffsetDateTime,
    ) -> Result<Pair, Error> {
        let leaf = identity.leaf(options, now)?;
        let day = Duration::DAY;
        let leaf = match self {
            Self::Expired => Leaf { validity: Validity::starting(now - 2 * day, 1)?, ..leaf },
            Self::NotYetValid => Leaf { validity: Validity::starting(now + day, 1)?, ..leaf },
            Self::WrongUsage if leaf.purposes.contains(&ServerAuth) => {
                Leaf { purposes: vec![ClientAuth], ..leaf }
            }
            Self::WrongUsage => Leaf { purposes: vec![ServerAuth], ..leaf },
            Self::NoNames => Leaf { names: Vec::new(), ..leaf },
            Self::WrongName => Leaf { names: vec![dns_name("elsewhere.invalid")?], ..leaf },
            Self::HostileName => {
                Leaf { names: vec![dns_name("elsewhere\",\"x\":\"\u{1b}[2J\r\n")?], ..leaf }
            }
            Self::WrongCa => {
                let name = identity.ca.identity().common_name;
                return Authority::create(name, now, options.ca_days)?.issue(&leaf);
            }
        };
        authority.issue(&leaf)
    }
}
