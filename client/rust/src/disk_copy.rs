use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{
    assembler::{Assembler, MOST_OVERHEAD_BYTES, Taken},
    proto::WatchResponse,
    snapshot::{Snapshot, hex},
};

/// What a process that was killed left half written is removed after this time; until then it may belong to one that
/// lives.
const LITTER_AGE: Duration = Duration::from_secs(600);

/// The file that keeps the last good snapshot of one view. Its format is that of all clients: docs/clients.md.
#[derive(Clone, Debug)]
pub(crate) struct DiskCopy {
    directory: PathBuf,
    source: String,
    name: String,
}

impl DiskCopy {
    pub(crate) fn new(directory: PathBuf, source: &str, globs: &[String]) -> Self {
        let globs: BTreeSet<_> = globs.iter().collect();
        let text: String = globs.iter().flat_map(|glob| [glob.as_str(), "\n"]).collect();
        let view = &hex(&Sha256::digest(text))[..16];
        Self {
            directory,
            source: source.to_owned(),
            name: format!("{source}.{view}"),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(format!("{}.snapshot", self.name))
    }

    /// An assembler that holds the copy, or nothing if there is none.
    ///
    /// Errors: the copy cannot be read, or is not what it should be. It is left alone.
    pub(crate) fn load(&self, max_bytes: u64) -> io::Result<Assembler> {
        self.check_name()?;
        self.remove_litter();
        let mut assembler = Assembler::new(max_bytes);
        let found = match fs::metadata(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(assembler),
            found => found?,
        };
        // To read a FIFO would hold the program up.
        if !found.is_file() {
            return Err(invalid("it is no file"));
        }
        if found.len() > max_bytes.saturating_add(MOST_OVERHEAD_BYTES) {
            let size = found.len();
            return Err(invalid(format!(
                "it has {size} bytes, and at most {max_bytes} are taken"
            )));
        }
        let bytes = fs::read(self.path())?;
        let message = WatchResponse::decode(&bytes[..]).map_err(invalid)?;
        let source = message.header.as_ref().map_or("", |header| &header.source);
        if source != self.source {
            return Err(invalid(format!("it is of source {source:?}")));
        }
        match assembler.take(message) {
            Ok(Taken::Version) => Ok(assembler),
            Ok(_) => Err(invalid("it is no complete snapshot")),
            Err(status) => Err(invalid(status.message())),
        }
    }

    /// Replaces the copy, whole: whenever the machine dies, the file is the old one or the new one.
    pub(crate) fn store(&self, snapshot: &Snapshot) -> io::Result<()> {
        self.check_name()?;
        fs::create_dir_all(&self.directory)?;
        let temporary = self
            .directory
            .join(format!("{}.snapshot.{:016x}.tmp", self.name, fastrand::u64(..)));
        let stored = write(&temporary, snapshot).and_then(|()| fs::rename(&temporary, self.path()));
        if stored.is_err() {
            let _ = fs::remove_file(&temporary); // it may not be there
        }
        stored?;
        // Only Unix has directories to be synced.
        if cfg!(unix) {
            File::open(&self.directory)?.sync_all()
        } else {
            Ok(())
        }
    }

    /// The server would refuse such a source, but only after its file was looked for, wherever that is.
    fn check_name(&self) -> io::Result<()> {
        if self.source.is_empty() || self.source.contains(['/', '\\', '\0']) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no source has this name"));
        }
        Ok(())
    }

    fn remove_litter(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let ours = name.starts_with(&format!("{}.", self.name)) && name.ends_with(".tmp");
            let age = || entry.metadata().and_then(|found| found.modified()).ok()?.elapsed().ok();
            if ours && age().is_some_and(|age| age > LITTER_AGE) {
                let _ = fs::remove_file(entry.path()); // another process may have
            }
        }
    }
}

fn write(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = BufWriter::new(options.open(path)?);
    snapshot.write_to(&mut out)?;
    out.flush()?;
    out.get_ref().sync_all()
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
