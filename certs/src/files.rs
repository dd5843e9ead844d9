//! Careful writing: keys that only their owner reads, nothing overwritten, nothing half-written.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Component, Path, PathBuf};

use nix::unistd::Group;
use tempfile::TempDir;

use crate::authority::subject;
use crate::{Error, Pair};

/// The link to the current version, named as Kubernetes names it in mounted Secrets.
const CURRENT: &str = "..data";

const KEY: &str = "tls.key";

/// Puts a pair into a folder for Envoy to watch, as Kubernetes mounts a Secret: `tls.crt`,
/// `tls.key` and `ca.crt` lead through one link, and moving that link changes all three at once.
///
/// The folder is created where there is none. A pair of the same subject which an earlier call put
/// there is replaced; a folder with anything else in it is refused. Whoever could read the key before can
/// read its successor; at first, that is its owner alone.
///
/// ```text
/// tls.crt ─▶ ..data/tls.crt     ..data ─▶ ..x7Qa2w     ..x7Qa2w/{tls.crt,tls.key,ca.crt}
/// ```
pub fn publish(folder: &Path, pair: &Pair) -> Result<(), Error> {
    publish_to(folder, pair, None)
}

/// The same, and a group may read the key, too.
pub fn publish_to(folder: &Path, pair: &Pair, group: Option<&Group>) -> Result<(), Error> {
    let files = [("tls.crt", &pair.certificate), ("tls.key", &pair.key), ("ca.crt", &pair.ca)];
    let switch = |folder: &Path| {
        let version = temporary("..", folder)?;
        for (name, text) in files {
            let write = if name == KEY { write_secret } else { write_public };
            write(&version.path().join(name), text)?;
        }
        admit(&version.path().join(KEY), group, &folder.join(KEY))?;
        make_current(folder, version)
    };
    if folder.join(CURRENT).is_symlink() {
        let current = folder.join("tls.crt");
        let held = fs::read_to_string(&current).ok().and_then(|pem| subject(&pem));
        return match held {
            Some(held) if Some(&held) == subject(&pair.certificate).as_ref() => switch(folder),
            _ => Err(Error::Exists { path: current }),
        };
    }
    create_folder(folder, |folder| {
        for (name, _) in files {
            link(&Path::new(CURRENT).join(name), &folder.join(name))?;
        }
        switch(folder)
    })
}

/// Fills a folder beside `folder` and moves it into its place.
///
/// The move is what never overwrites: the system refuses it unless `folder` is empty or absent.
pub(crate) fn create_folder<T>(
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<T, Error>,
) -> Result<T, Error> {
    let parent = match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    create_parents(parent)?;
    let staged = temporary(".gatelet-certs-", parent)?;
    let filled = fill(staged.path())?;
    match fs::rename(staged.path(), folder) {
        Ok(()) => {
            // It has moved: there is nothing left to clean up.
            let _moved = staged.keep();
            Ok(filled)
        }
        Err(source) => Err(match source.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                Error::Exists { path: first_file(folder) }
            }
            _ => Error::Write { path: folder.into(), source },
        }),
    }
}

/// Writes what anybody may read.
pub(crate) fn write_public(path: &Path, text: &str) -> Result<(), Error> {
    write_new(path, text, 0o644)
}

/// Writes what only its owner may read.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    write_new(path, text, 0o600)
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        create_parents(parent)?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists => Error::Exists { path: path.into() },
            _ => Error::Write { path: path.into(), source },
        })
}

/// Lets a group read a key, or whoever reads the key that it follows: a gate of its own user would
/// otherwise lose sight of it with the first rotation.
fn admit(key: &Path, group: Option<&Group>, previous: &Path) -> Result<(), Error> {
    let group = match (group, fs::metadata(previous)) {
        (Some(group), _) => group.gid.as_raw(),
        (None, Ok(previous)) if previous.mode() & GROUP_READS != 0 => previous.gid(),
        (None, _) => return Ok(()),
    };
    chown(key, None, Some(group)).map_err(writing(key))?;
    fs::set_permissions(key, Permissions::from_mode(0o600 | GROUP_READS)).map_err(writing(key))
}

/// The bit of a mode.
const GROUP_READS: u32 = 0o040;

/// Moves the link to `version`, and removes the version before it.
fn make_current(folder: &Path, version: TempDir) -> Result<(), Error> {
    let current = folder.join(CURRENT);
    let previous = fs::read_link(&current).ok();
    let next = version.path().with_added_extension("next");
    // The name alone, so that the folder can be moved: it is staged elsewhere at first.
    link(Path::new(version.path().file_name().unwrap_or_default()), &next)?;
    if let Err(source) = fs::rename(&next, &current) {
        let _unused = fs::remove_file(&next);
        return Err(Error::Write { path: current, source });
    }
    let _kept = version.keep();
    match previous {
        // Only a folder in this one was put there by us.
        Some(previous) if matches!(single(&previous), Some(Component::Normal(_))) => {
            let previous = folder.join(previous);
            fs::remove_dir_all(&previous).map_err(writing(&previous))
        }
        _ => Ok(()),
    }
}

fn single(path: &Path) -> Option<Component<'_>> {
    let mut components = path.components();
    components.next().filter(|_| components.next().is_none())
}

fn link(target: &Path, path: &Path) -> Result<(), Error> {
    symlink(target, path).map_err(writing(path))
}

fn create_parents(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(writing(folder))
}

/// A folder that goes away with its guard, readable as any folder that Kubernetes makes.
fn temporary(prefix: &str, parent: &Path) -> Result<TempDir, Error> {
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in(parent)
        .map_err(writing(parent))
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::Write { path, source }
}

/// The first file below a folder, to name something that is in the way; else the folder itself.
fn first_file(path: &Path) -> PathBuf {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    match entries.map(|entry| entry.path()).min() {
        Some(first) if !first.is_symlink() => first_file(&first),
        Some(link) => link,
        None => path.into(),
    }
}
