use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tonic::Status;

use crate::{
    proto::{ConfigFile, ResponseHeader, WatchResponse, watch_response::Event},
    snapshot::{File, Snapshot, digest_of, view_digest_of},
};

/// For the names and types of a version's files, besides `max_bytes` for their content.
pub(crate) const MOST_OVERHEAD_BYTES: u64 = 64 << 20;
/// What a file takes besides its content, path and type.
const OVERHEAD_OF_FILE: u64 = 200;

/// Puts the messages of a watch's streams together into whole snapshots, and believes none of them unchecked.
///
/// For each stream: [`token`](Self::token) goes into the request, then [`begin_stream`](Self::begin_stream), then
/// [`take`](Self::take) for each message; on an error [`forget_token`](Self::forget_token), and a new stream. What was
/// completed stays held, whatever happens to later streams.
#[derive(Debug)]
pub(crate) struct Assembler {
    max_bytes: u64,
    held: Option<Arc<Snapshot>>,
    token: String,
    pending: Option<Pending>,
    watch_id: String,
    /// Epoch and version that this stream named last, of what is held.
    reached: Option<(String, i64)>,
    /// The server knows on this stream what is held: it was given its token, or has sent it.
    stands: bool,
}

/// A version of which some fragments are here.
#[derive(Debug)]
struct Pending {
    first: ResponseHeader,
    /// Of a delta: what it is to be applied to.
    base: Option<Arc<Snapshot>>,
    base_version: Option<i64>,
    view_digest: String,
    bytes: u64,
    overhead: u64,
    files: Vec<Arc<File>>,
    removed: BTreeSet<String>,
    /// The file whose end has not come yet.
    partial: Option<ConfigFile>,
}

/// What snapshots and deltas have in common.
struct Fragment {
    header: ResponseHeader,
    base_version: Option<i64>,
    view_digest: String,
    files: Vec<ConfigFile>,
    removed_paths: Vec<String>,
    missing_globs: Vec<String>,
    more: bool,
}

/// What a message meant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Taken {
    /// A part of a version, of which more is to come.
    Part,
    /// The end of a version, which is now held.
    Version,
    /// The server says that what is held is current.
    InSync,
    /// Anything else: at most the header of what is held has moved on.
    Other,
}

impl Assembler {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            held: None,
            token: String::new(),
            pending: None,
            watch_id: String::new(),
            reached: None,
            stands: false,
        }
    }

    /// The last complete snapshot.
    pub(crate) fn held(&self) -> Option<&Arc<Snapshot>> {
        self.held.as_ref()
    }

    /// The token of the last message whose content is held completely; empty: there is none.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn forget_token(&mut self) {
        self.token.clear();
    }

    /// A new stream begins: forgets the fragments of a version that the last one left half sent.
    pub(crate) fn begin_stream(&mut self) {
        self.pending = None;
        self.watch_id.clear();
        self.reached = None;
        self.stands = self.held.is_some() && !self.token.is_empty();
    }

    /// Takes the next message of the stream.
    ///
    /// `DATA_LOSS`: it contradicts itself, what came before it, or the digest, or needs content that is not held;
    /// `RESOURCE_EXHAUSTED`: more than `max_bytes`. After an error the stream is of no more use.
    pub(crate) fn take(&mut self, message: WatchResponse) -> Result<Taken, Status> {
        if !message.watch_id.is_empty() {
            self.watch_id = message.watch_id;
        }
        let header = message.header.unwrap_or_default();
        let more = message.more_fragments;
        match message.event {
            Some(Event::Snapshot(snapshot)) => self.take_fragment(Fragment {
                header,
                base_version: None,
                view_digest: snapshot.view_digest,
                files: snapshot.files,
                removed_paths: Vec::new(),
                missing_globs: snapshot.missing_globs,
                more,
            }),
            Some(Event::Delta(delta)) => self.take_fragment(Fragment {
                header,
                base_version: Some(delta.base_version),
                view_digest: delta.view_digest,
                files: delta.changed_files,
                removed_paths: delta.removed_paths,
                missing_globs: delta.missing_globs,
                more,
            }),
            // Events that this client does not know are none for it; their headers count.
            _ => self.take_header(header, message.in_sync),
        }
    }

    fn take_header(&mut self, header: ResponseHeader, in_sync: bool) -> Result<Taken, Status> {
        if let Some(pending) = &self.pending {
            return Err(wrong(&pending.first, "another message came between its fragments"));
        }
        if header.version < 0 {
            return Err(wrong(&header, "versions begin at 1"));
        }
        let in_sync = in_sync && header.version != 0;
        let Some(held) = self.held.as_ref().filter(|_| self.stands) else {
            if in_sync {
                return Err(wrong(&header, "it is called current, but was never sent"));
            }
            // Unless the server knows what is held, a token would claim what this client does not have.
            return Ok(Taken::Other);
        };
        if header.version != 0 && !header.resume_token.is_empty() {
            if let Some((epoch, version)) = &self.reached
                && *epoch == header.epoch
                && header.version < *version
            {
                return Err(wrong(&header, format!("version {version} came before it")));
            }
            self.reached = Some((header.epoch.clone(), header.version));
            self.token.clone_from(&header.resume_token);
            let watch_id = if in_sync { &self.watch_id } else { &held.watch_id };
            if held.header != header || held.watch_id != *watch_id {
                self.held = Some(Arc::new(Snapshot {
                    header,
                    watch_id: watch_id.clone(),
                    ..Snapshot::clone(held)
                }));
            }
        }
        Ok(if in_sync { Taken::InSync } else { Taken::Other })
    }

    fn take_fragment(&mut self, fragment: Fragment) -> Result<Taken, Status> {
        let mut pending = match self.pending.take() {
            Some(pending) => {
                pending.check_continues(&fragment)?;
                pending
            }
            None => self.begin_version(&fragment)?,
        };
        for part in fragment.files {
            pending.add_file(part, self.max_bytes)?;
        }
        for path in fragment.removed_paths {
            // That it is there bounds what is kept, too.
            if pending.base.as_ref().is_none_or(|base| base.file(&path).is_none()) {
                return Err(wrong(
                    &pending.first,
                    format!("it removes {path:?}, which is not there"),
                ));
            }
            pending.removed.insert(path);
        }
        if fragment.more {
            self.pending = Some(pending);
            return Ok(Taken::Part);
        }
        let snapshot = pending.finish(fragment.header, fragment.missing_globs, &self.watch_id, self.max_bytes)?;
        self.reached = Some((snapshot.header.epoch.clone(), snapshot.header.version));
        self.stands = true;
        self.token.clone_from(&snapshot.header.resume_token);
        self.held = Some(Arc::new(snapshot));
        Ok(Taken::Version)
    }

    fn begin_version(&self, fragment: &Fragment) -> Result<Pending, Status> {
        let header = &fragment.header;
        if header.version < 1 {
            return Err(wrong(header, "versions begin at 1"));
        }
        if let Some((epoch, version)) = &self.reached
            && *epoch == header.epoch
            && header.version <= *version
        {
            return Err(wrong(header, format!("version {version} came before it")));
        }
        let base = match fragment.base_version {
            None => None,
            Some(version) => match &self.held {
                Some(held) if self.stands && held.header.version == version => Some(Arc::clone(held)),
                _ => {
                    let what = format!("it is a delta against version {version}, which is not the one held");
                    return Err(wrong(header, what));
                }
            },
        };
        Ok(Pending {
            first: header.clone(),
            base,
            base_version: fragment.base_version,
            view_digest: fragment.view_digest.clone(),
            bytes: 0,
            overhead: 0,
            files: Vec::new(),
            removed: BTreeSet::new(),
            partial: None,
        })
    }
}

impl Pending {
    fn check_continues(&self, fragment: &Fragment) -> Result<(), Status> {
        if fragment.header.epoch == self.first.epoch
            && fragment.header.version == self.first.version
            && fragment.base_version == self.base_version
            && fragment.view_digest == self.view_digest
        {
            return Ok(());
        }
        Err(wrong(&self.first, "a fragment of something else came before its end"))
    }

    fn add_file(&mut self, part: ConfigFile, max_bytes: u64) -> Result<(), Status> {
        self.bytes += part.content.len() as u64;
        if self.bytes > max_bytes {
            return Err(too_large(&self.first, max_bytes));
        }
        let whole = match self.partial.take() {
            Some(mut partial) => {
                if part.path != partial.path
                    || part.size_bytes != partial.size_bytes
                    || part.digest != partial.digest
                    || part.content_offset != length(&partial)
                {
                    let (at, of) = (partial.content.len(), &partial.path);
                    let (path, offset) = (&part.path, part.content_offset);
                    let what = format!("after byte {at} of {of:?} comes byte {offset} of {path:?}, or another digest");
                    return Err(wrong(&self.first, what));
                }
                partial.content.extend(part.content);
                partial
            }
            None => {
                let last = self.files.last().map_or("", |file| file.path());
                if *part.path <= *last {
                    return Err(wrong(&self.first, format!("{:?} comes after {last:?}", part.path)));
                }
                if part.content_offset != 0 {
                    let what = format!("{:?} begins at byte {}", part.path, part.content_offset);
                    return Err(wrong(&self.first, what));
                }
                self.overhead += overhead_of(&part);
                if self.overhead > MOST_OVERHEAD_BYTES {
                    return Err(too_large(&self.first, max_bytes));
                }
                part
            }
        };
        if length(&whole) < whole.size_bytes {
            self.partial = Some(whole);
            return Ok(());
        }
        if length(&whole) > whole.size_bytes {
            let what = format!("{:?} is longer than its {} bytes", whole.path, whole.size_bytes);
            return Err(wrong(&self.first, what));
        }
        let digest = digest_of(&whole.content);
        if digest != whole.digest {
            let what = format!("{:?} has the digest {digest}, not {:?}", whole.path, whole.digest);
            return Err(wrong(&self.first, what));
        }
        self.files.push(Arc::new(File(whole)));
        Ok(())
    }

    /// The version, all fragments of which are here. `header` is that of the last.
    fn finish(
        mut self,
        header: ResponseHeader,
        missing_globs: Vec<String>,
        watch_id: &str,
        max_bytes: u64,
    ) -> Result<Snapshot, Status> {
        if let Some(partial) = &self.partial {
            return Err(wrong(&header, format!("{:?} ends before its last byte", partial.path)));
        }
        if let Some(base) = &self.base {
            let mut files: BTreeMap<_, _> = base.files.iter().map(|file| (file.path(), file)).collect();
            files.retain(|path, _| !self.removed.contains(*path));
            files.extend(self.files.iter().map(|file| (file.path(), file)));
            let bytes: u64 = files.values().map(|file| file.content().len() as u64).sum();
            let overhead: u64 = files.values().map(|file| overhead_of(&file.0)).sum();
            if bytes > max_bytes || overhead > MOST_OVERHEAD_BYTES {
                return Err(too_large(&header, max_bytes));
            }
            self.files = files.into_values().cloned().collect();
        }
        let digest = view_digest_of(&self.files);
        if digest != self.view_digest {
            let what = format!("its files have the view digest {digest}, not {:?}", self.view_digest);
            return Err(wrong(&header, what));
        }
        Ok(Snapshot {
            header,
            view_digest: digest,
            files: self.files,
            missing_globs,
            watch_id: watch_id.to_owned(),
        })
    }
}

fn length(file: &ConfigFile) -> i64 {
    i64::try_from(file.content.len()).unwrap_or(i64::MAX)
}

/// What a file takes besides its content.
fn overhead_of(file: &ConfigFile) -> u64 {
    (file.path.len() + file.content_type.len()) as u64 + OVERHEAD_OF_FILE
}

fn wrong(header: &ResponseHeader, what: impl std::fmt::Display) -> Status {
    let (version, source) = (header.version, &header.source);
    Status::data_loss(format!(
        "the server sent version {version} of source {source:?} wrong: {what}"
    ))
}

fn too_large(header: &ResponseHeader, max_bytes: u64) -> Status {
    let (version, source) = (header.version, &header.source);
    Status::resource_exhausted(format!(
        "version {version} of source {source:?} has more than the {max_bytes} bytes that this client takes"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Delta, Heartbeat, Snapshot as Whole};

    fn part(path: &str, whole: &str, from: usize, to: usize) -> ConfigFile {
        ConfigFile {
            path: path.into(),
            content: whole[from..to].into(),
            content_offset: from as i64,
            size_bytes: whole.len() as i64,
            digest: digest_of(whole.as_bytes()),
            ..ConfigFile::default()
        }
    }

    fn file(path: &str, text: &str) -> ConfigFile {
        part(path, text, 0, text.len())
    }

    fn digest(files: &[(&str, &str)]) -> String {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| Arc::new(File(file(path, text))))
            .collect();
        view_digest_of(&files)
    }

    fn message(version: i64, event: Event) -> WatchResponse {
        let header = ResponseHeader {
            epoch: "e1".into(),
            version,
            resume_token: format!("token-{version}"),
            ..ResponseHeader::default()
        };
        WatchResponse {
            header: Some(header),
            event: Some(event),
            ..WatchResponse::default()
        }
    }

    /// A fragment of the snapshot that has `all` in the end.
    fn fragment(version: i64, files: Vec<ConfigFile>, all: &[(&str, &str)], more: bool) -> WatchResponse {
        let event = Event::Snapshot(Whole {
            files,
            view_digest: digest(all),
            ..Whole::default()
        });
        WatchResponse {
            more_fragments: more,
            ..message(version, event)
        }
    }

    fn snapshot(version: i64, all: &[(&str, &str)]) -> WatchResponse {
        fragment(
            version,
            all.iter().map(|(path, text)| file(path, text)).collect(),
            all,
            false,
        )
    }

    fn delta(
        base: i64,
        version: i64,
        changed: Vec<ConfigFile>,
        removed: &[&str],
        all: &[(&str, &str)],
    ) -> WatchResponse {
        let event = Event::Delta(Delta {
            base_version: base,
            changed_files: changed,
            removed_paths: removed.iter().map(ToString::to_string).collect(),
            view_digest: digest(all),
            missing_globs: vec!["x*".into()],
        });
        message(version, event)
    }

    fn heartbeat(version: i64, in_sync: bool) -> WatchResponse {
        WatchResponse {
            in_sync,
            ..message(version, Event::Heartbeat(Heartbeat {}))
        }
    }

    const OLD: &[(&str, &str)] = &[("a", "one"), ("b", "two")];

    fn holding_old() -> Assembler {
        let mut assembler = Assembler::new(1000);
        assert_eq!(assembler.take(snapshot(3, OLD)).unwrap(), Taken::Version);
        assembler
    }

    fn files_of(assembler: &Assembler) -> Vec<(&str, &str)> {
        assembler
            .held()
            .unwrap()
            .files()
            .map(|file| (file.path(), file.text().unwrap()))
            .collect()
    }

    #[test]
    fn fragments_make_a_version_with_the_last() {
        let mut assembler = Assembler::new(1000);
        let all = [("a", "0123456789"), ("b", ""), ("c", "end")];
        let first = fragment(1, vec![part("a", "0123456789", 0, 4)], &all, true);
        let second = fragment(1, vec![part("a", "0123456789", 4, 10), file("b", "")], &all, true);
        assert_eq!(assembler.take(first).unwrap(), Taken::Part);
        assert_eq!(assembler.take(second).unwrap(), Taken::Part);
        assert!(assembler.held().is_none() && assembler.token().is_empty());
        assert_eq!(
            assembler
                .take(fragment(1, vec![file("c", "end")], &all, false))
                .unwrap(),
            Taken::Version
        );
        assert_eq!(files_of(&assembler), all);
        assert_eq!(assembler.token(), "token-1");
    }

    #[test]
    fn a_delta_in_fragments_is_applied_to_what_is_held() {
        let mut assembler = holding_old();
        let kept = Arc::clone(&assembler.held().unwrap().files[1]);
        let all = [("b", "two"), ("c", "three")];
        let first = delta(3, 4, vec![part("c", "three", 0, 2)], &[], &all);
        assembler
            .take(WatchResponse {
                more_fragments: true,
                ..first
            })
            .unwrap();
        assembler
            .take(delta(3, 4, vec![part("c", "three", 2, 5)], &["a"], &all))
            .unwrap();
        assert_eq!(files_of(&assembler), all);
        let held = assembler.held().unwrap();
        assert_eq!(held.missing_globs(), ["x*"]);
        assert!(
            Arc::ptr_eq(&kept, &held.files[0]),
            "bytes that did not change are shared"
        );
    }

    #[test]
    fn contradictions_are_errors_and_what_is_held_stays() {
        let new = [("a", "new"), ("b", "two")];
        let with = |change: &dyn Fn(&mut ConfigFile)| {
            let mut second = file("b", "two");
            change(&mut second);
            fragment(4, vec![file("a", "new"), second], &new, false)
        };
        let cut = |more| fragment(4, vec![part("a", "new", 0, 1)], &new, more);
        let cases: Vec<(&str, Vec<WatchResponse>)> = vec![
            ("versions begin at 1", vec![snapshot(0, &new)]),
            ("version 3 came before it", vec![snapshot(3, &new)]),
            ("version 3 came before it", vec![snapshot(2, &new)]),
            ("view digest", vec![fragment(4, vec![file("a", "new")], &new, false)]),
            ("has the digest", vec![with(&|file| file.digest = digest_of(b"x"))]),
            ("has the digest", vec![with(&|file| file.content = b"twx".into())]),
            ("ends before its last byte", vec![with(&|file| file.size_bytes = 4)]),
            ("longer than its 2 bytes", vec![with(&|file| file.size_bytes = 2)]),
            ("longer than its -1 bytes", vec![with(&|file| file.size_bytes = -1)]),
            ("begins at byte 1", vec![with(&|file| file.content_offset = 1)]),
            (r#""a" comes after "a""#, vec![with(&|file| file.path = "a".into())]),
            (r#""" comes after "a""#, vec![with(&|file| file.path.clear())]),
            (
                "comes byte 2 of",
                vec![cut(true), fragment(4, vec![part("a", "new", 2, 3)], &new, false)],
            ),
            (
                "comes byte 0 of",
                vec![cut(true), fragment(4, vec![file("b", "two")], &new, false)],
            ),
            (
                "something else",
                vec![cut(true), fragment(5, vec![part("a", "new", 1, 3)], &new, false)],
            ),
            (
                "something else",
                vec![cut(true), fragment(4, vec![part("a", "new", 1, 3)], OLD, false)],
            ),
            (
                "something else",
                vec![cut(true), delta(3, 4, vec![part("a", "new", 1, 3)], &[], &new)],
            ),
            ("another message", vec![cut(true), heartbeat(3, true)]),
            ("ends before its last byte", vec![cut(false)]),
            ("not the one held", vec![delta(2, 4, vec![file("a", "new")], &[], &new)]),
            (
                "which is not there",
                vec![delta(3, 4, vec![file("a", "new")], &["c"], &new)],
            ),
            ("view digest", vec![delta(3, 4, vec![file("a", "new")], &["b"], &new)]),
        ];
        for (what, messages) in cases {
            let mut assembler = holding_old();
            let results: Vec<_> = messages.into_iter().map(|message| assembler.take(message)).collect();
            let (last, before) = results.split_last().unwrap();
            assert!(before.iter().all(Result::is_ok), "{what}: {before:?}");
            let status = last.as_ref().expect_err(what);
            assert_eq!(status.code(), tonic::Code::DataLoss, "{what}");
            assert!(status.message().contains(what), "{what}: {}", status.message());
            assert_eq!(files_of(&assembler), OLD, "{what}");
            assert_eq!(assembler.token(), "token-3", "{what}");
        }
    }

    #[test]
    fn a_delta_needs_something_held() {
        let mut assembler = Assembler::new(1000);
        assert!(
            assembler
                .take(delta(0, 4, vec![file("a", "x")], &[], &[("a", "x")]))
                .is_err()
        );
        assert!(assembler.held().is_none());
    }

    #[test]
    fn another_stream_or_epoch_counts_versions_anew() {
        let mut assembler = holding_old();
        let mut other_epoch = snapshot(1, &[]);
        other_epoch.header.as_mut().unwrap().epoch = "e2".into();
        assert_eq!(assembler.take(other_epoch).unwrap(), Taken::Version);
        assembler.begin_stream();
        assert_eq!(assembler.take(snapshot(1, OLD)).unwrap(), Taken::Version);
    }

    #[test]
    fn a_stream_that_breaks_leaves_no_fragments() {
        let mut assembler = holding_old();
        let new = [("a", "new")];
        assembler
            .take(fragment(4, vec![part("a", "new", 0, 1)], &new, true))
            .unwrap();
        assembler.begin_stream();
        assert_eq!(assembler.take(heartbeat(3, true)).unwrap(), Taken::InSync);
        assert_eq!(assembler.take(snapshot(4, &new)).unwrap(), Taken::Version);
    }

    #[test]
    fn headers_move_what_is_held_on() {
        let mut assembler = holding_old();
        assert_eq!(assembler.take(heartbeat(4, true)).unwrap(), Taken::InSync);
        assert_eq!((assembler.held().unwrap().version(), assembler.token()), (4, "token-4"));
        let unknown = WatchResponse {
            event: None,
            ..heartbeat(5, false)
        };
        assert_eq!(assembler.take(unknown).unwrap(), Taken::Other);
        assert_eq!((assembler.held().unwrap().version(), assembler.token()), (5, "token-5"));
        assert_eq!(files_of(&assembler), OLD);
        // The next delta is against where the stream stands.
        assembler.take(delta(5, 6, vec![], &["b"], &OLD[..1])).unwrap();
        assert_eq!(files_of(&assembler), OLD[..1]);
    }

    #[test]
    fn without_content_no_token_is_kept_and_nothing_is_current() {
        let mut assembler = Assembler::new(1000);
        assert_eq!(assembler.take(heartbeat(0, true)).unwrap(), Taken::Other);
        assert_eq!(assembler.take(heartbeat(4, false)).unwrap(), Taken::Other);
        assert_eq!(assembler.token(), "");
        let status = assembler.take(heartbeat(4, true)).unwrap_err();
        assert!(status.message().contains("never sent"));
    }

    #[test]
    fn versions_of_more_than_max_bytes_are_refused() {
        let refused = |messages: Vec<WatchResponse>| {
            let mut assembler = Assembler::new(6);
            assembler.take(snapshot(3, OLD)).unwrap();
            let results: Vec<_> = messages.into_iter().map(|message| assembler.take(message)).collect();
            let status = results.last().unwrap().as_ref().expect_err("too large");
            assert_eq!(status.code(), tonic::Code::ResourceExhausted);
            assert_eq!(files_of(&assembler), OLD);
        };
        refused(vec![snapshot(4, &[("a", "1234567")])]);
        // As soon as what came is too much, not at the end.
        refused(vec![
            fragment(4, vec![part("a", "1234567890", 0, 6)], OLD, true),
            fragment(4, vec![part("a", "1234567890", 6, 7)], OLD, true),
        ]);
        // Each part is small enough, but not the whole.
        refused(vec![delta(
            3,
            4,
            vec![file("c", "1")],
            &[],
            &[("a", "one"), ("b", "two"), ("c", "1")],
        )]);
    }

    #[test]
    fn versions_of_too_many_names_are_refused_in_one_or_by_a_delta() {
        // A content type is not hashed, which takes its time in a test.
        let half = |path: &str| ConfigFile {
            content_type: "x".repeat((MOST_OVERHEAD_BYTES / 2 - OVERHEAD_OF_FILE - 1) as usize),
            ..file(path, "")
        };
        let most = [("a", ""), ("b", "")];
        let other = [("a", ""), ("c", "")];
        let more = [("a", ""), ("b", ""), ("c", "")];
        let refused = |result: Result<Taken, Status>| result.unwrap_err().code() == tonic::Code::ResourceExhausted;

        let whole = fragment(3, vec![half("a"), half("b"), file("c", "")], &more, false);
        assert!(refused(Assembler::new(0).take(whole)));
        let mut assembler = Assembler::new(0);
        let whole = fragment(3, vec![half("a"), half("b")], &most, false);
        assembler.take(whole).unwrap();
        assert!(refused(assembler.take(delta(3, 4, vec![file("c", "")], &[], &more))));
        // What goes makes room for what comes.
        assembler.take(delta(3, 4, vec![half("c")], &["b"], &other)).unwrap();
    }
}
