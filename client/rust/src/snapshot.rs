use std::{
    fmt::{self, Write as _},
    io,
    str::Utf8Error,
    sync::Arc,
    time::SystemTime,
};

use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint, message},
};
use sha2::{Digest, Sha256};

use crate::proto::{self, ConfigFile, ResponseHeader, WatchResponse};

/// The files of one version of a source, or of the part of it that a watch asked for: whole, and checked against the
/// digest that the server gave. Immutable.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) header: ResponseHeader,
    pub(crate) view_digest: String,
    pub(crate) files: Vec<Arc<File>>,
    pub(crate) missing_globs: Vec<String>,
    /// The stream that last said that this is its content; empty: none did yet.
    pub(crate) watch_id: String,
}

impl Snapshot {
    /// The version, from 1. Versions compare only within an [epoch](Self::epoch).
    ///
    /// It moves on when the server says that newer versions have the same files: [`Watch::current`] then returns
    /// another snapshot with this content, without a change being told.
    ///
    /// [`Watch::current`]: crate::Watch::current
    #[must_use]
    pub fn version(&self) -> i64 {
        self.header.version
    }

    /// Identity of the version history: 32 hex digits.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.header.epoch
    }

    /// When the version was published, by the server's clock.
    #[must_use]
    pub fn publish_time(&self) -> Option<SystemTime> {
        SystemTime::try_from(self.header.publish_time?).ok()
    }

    /// `sha256:` and the digest over [`files`](Self::files): of the text that `sha256sum` prints for them.
    #[must_use]
    pub fn view_digest(&self) -> &str {
        &self.view_digest
    }

    /// The files, in byte order of their paths.
    #[must_use]
    pub fn files(&self) -> impl ExactSizeIterator<Item = &File> + DoubleEndedIterator {
        self.files.iter().map(|file| &**file)
    }

    /// The file at `path`.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&File> {
        let at = self.files.binary_search_by(|file| file.path().cmp(path)).ok()?;
        Some(&self.files[at])
    }

    /// Those of the globs asked for that select no file.
    #[must_use]
    pub fn missing_globs(&self) -> &[String] {
        &self.missing_globs
    }

    /// All that the server says of the version.
    #[must_use]
    pub fn header(&self) -> &ResponseHeader {
        &self.header
    }

    /// Writes it as a [`WatchResponse`], in one message. It takes no more memory than the largest file does.
    pub(crate) fn write_to(&self, out: &mut impl io::Write) -> io::Result<()> {
        let mut buffer = WatchResponse {
            header: Some(self.header.clone()),
            ..WatchResponse::default()
        }
        .encode_to_vec();
        let rest = proto::Snapshot {
            view_digest: self.view_digest.clone(),
            missing_globs: self.missing_globs.clone(),
            ..proto::Snapshot::default()
        };
        let files_length: usize = self.files.iter().map(|file| message::encoded_len(FILES, &file.0)).sum();
        encode_key(SNAPSHOT, WireType::LengthDelimited, &mut buffer);
        encode_varint((files_length + rest.encoded_len()) as u64, &mut buffer);
        for file in &self.files {
            out.write_all(&buffer)?;
            buffer.clear();
            message::encode(FILES, &file.0, &mut buffer);
        }
        buffer.extend(rest.encode_to_vec());
        out.write_all(&buffer)
    }
}

/// Numbers of fields: `WatchResponse.snapshot` and `Snapshot.files`.
const SNAPSHOT: u32 = 7;
const FILES: u32 = 1;

/// One file of a [`Snapshot`]. Its bytes are shared by all snapshots in which it is the same.
#[derive(Clone, PartialEq)]
pub struct File(pub(crate) ConfigFile);

impl File {
    /// Path relative to the source, components separated by `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The bytes.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.0.content
    }

    /// The bytes as text.
    ///
    /// # Errors
    ///
    /// They are no UTF-8.
    pub fn text(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(&self.0.content)
    }

    /// `sha256:` and the digest of the bytes in hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Media type by the file's name, such as `application/yaml`; `application/octet-stream` if it tells nothing.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.0.content_type
    }

    /// The version in which this content was first published.
    #[must_use]
    pub fn last_changed_version(&self) -> i64 {
        self.0.last_changed_version
    }
}

/// Without the content, which may be secret, or large.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path())
            .field("size", &self.content().len())
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}

/// `sha256:` and the digest of `bytes`: how digests appear in the API.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// The digest of the text that `sha256sum` prints for `files`.
pub(crate) fn view_digest_of(files: &[Arc<File>]) -> String {
    let mut hasher = Sha256::new();
    for file in files {
        let (path, digest) = (file.path(), file.digest().trim_start_matches("sha256:"));
        // It marks a line with a leading backslash when it has to escape the name.
        if path.contains(['\\', '\n', '\r']) {
            let path = path.replace('\\', r"\\").replace('\n', r"\n").replace('\r', r"\r");
            hasher.update(format!("\\{digest}  {path}\n"));
        } else {
            hasher.update(format!("{digest}  {path}\n"));
        }
    }
    format!("sha256:{}", hex(&hasher.finalize()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes all
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::watch_response::Event;

    pub(crate) fn file(path: &str, content: &[u8]) -> Arc<File> {
        Arc::new(File(ConfigFile {
            path: path.to_owned(),
            content: content.to_vec(),
            size_bytes: content.len() as i64,
            digest: digest_of(content),
            ..ConfigFile::default()
        }))
    }

    #[test]
    fn digests_are_those_of_sha256sum() {
        // printf abc | sha256sum
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest_of(b"abc"), abc);
        // printf abc >a; printf '' >'b\c'; sha256sum * | sha256sum
        let files = [file("a", b"abc"), file("b\\c", b"")];
        assert_eq!(
            view_digest_of(&files),
            "sha256:71e8812db6125b60e8057b1894ee21f759ab2d743c7cf574237a87abc232dc4c"
        );
        // : | sha256sum
        assert_eq!(
            view_digest_of(&[]),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn what_is_written_is_one_message_with_all_of_it() {
        let files = vec![file("a", b"abc"), file("b", &[0xff; 70_000]), file("c", b"")];
        let snapshot = Snapshot {
            header: ResponseHeader {
                source: "demo".into(),
                version: 7,
                ..ResponseHeader::default()
            },
            view_digest: view_digest_of(&files),
            files,
            missing_globs: vec!["x*".into()],
            watch_id: "not written".into(),
        };
        let mut written = Vec::new();
        snapshot.write_to(&mut written).unwrap();
        let expected = WatchResponse {
            header: Some(snapshot.header.clone()),
            event: Some(Event::Snapshot(proto::Snapshot {
                files: snapshot.files.iter().map(|file| file.0.clone()).collect(),
                missing_globs: snapshot.missing_globs.clone(),
                view_digest: snapshot.view_digest.clone(),
            })),
            ..WatchResponse::default()
        };
        assert_eq!(WatchResponse::decode(&written[..]).unwrap(), expected);
        assert_eq!(written.len(), expected.encoded_len());
    }

    #[test]
    fn debug_shows_no_content() {
        let shown = format!("{:?}", file("secret.txt", b"hunter2"));
        assert!(shown.contains("secret.txt") && !shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains("104, 117"), "{shown}");
    }
}
