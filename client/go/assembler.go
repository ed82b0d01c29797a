package confstream

import (
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "confstream.dev/go/confstream/v1"
)

const (
	// What the names and types of a version's files may take, besides maxBytes for their content.
	mostOverhead = 64 << 20
	// What a file takes besides its content, path and type.
	overheadOfFile = 200
	// Room that is made for a file on the word of the server.
	mostAnnounced = 1 << 20
)

// assembler puts the messages of one stream after another together into snapshots, and believes none unchecked:
//
//	for each stream:  a.begin(); the request has a.token
//	    for each message:  a.take(message); on an error a.token = "", and a new stream
//
// What was completed stays held, whatever happens to later streams.
type assembler struct {
	maxBytes int64
	held     *Snapshot
	token    string // of the last message whose content is held completely; empty: none

	// Of the stream.
	watchID string
	stands  bool   // the server knows on this stream what is held: it has sent it, or was given its token
	epoch   string // of the last version up to which it was complete
	version int64  // 0: none
	pending *pendingVersion
}

// pendingVersion is a version of which some fragments are here.
type pendingVersion struct {
	header  *pb.ResponseHeader
	delta   bool
	base    int64 // of a delta
	digest  string
	bytes   int64  // size of its files
	names   int64  // of their paths and types
	files   []File // of a delta: those that changed
	rest    int64  // how much of the last file has still to come
	removed map[string]bool
}

// begin is for a new stream: it forgets the fragments of a version that the last one left half sent.
func (a *assembler) begin() {
	a.watchID, a.epoch, a.version, a.pending = "", "", 0, nil
	a.stands = a.held != nil && a.token != ""
}

// take takes the next message of the stream. It is true if the message settles what is held: it completed a version, or
// says that what is held is current. DataLoss: the message contradicts itself, those before it or its digest, or needs
// content that is not held. ResourceExhausted: more than maxBytes. After an error the stream is of no more use, and the
// next one has to begin without a token.
func (a *assembler) take(message *pb.WatchResponse) (bool, error) {
	if id := message.GetWatchId(); id != "" {
		a.watchID = id
	}
	header := message.GetHeader()
	snapshot, delta := message.GetSnapshot(), message.GetDelta()
	if snapshot == nil && delta == nil {
		if a.pending != nil {
			return false, nonsense(a.pending.header, "another message came between its fragments")
		}
		settles := message.GetInSync() && header.GetVersion() != 0
		if settles && !a.stands {
			return false, nonsense(header, "it is called in sync, but was never sent")
		}
		return settles, a.moveOn(header)
	}

	fragment := pendingVersion{header: header, delta: delta != nil, base: delta.GetBaseVersion()}
	files, missingGlobs := snapshot.GetFiles(), snapshot.GetMissingGlobs()
	fragment.digest = snapshot.GetViewDigest()
	if fragment.delta {
		files, missingGlobs = delta.GetChangedFiles(), delta.GetMissingGlobs()
		fragment.digest = delta.GetViewDigest()
	}
	if err := a.place(fragment); err != nil {
		return false, err
	}
	for _, part := range files {
		if err := a.addFile(part); err != nil {
			return false, err
		}
	}
	for _, path := range delta.GetRemovedPaths() {
		if _, found := a.held.File(path); !found { // this also bounds what is kept
			return false, nonsense(header, "it removes file %q, which is not there", path)
		}
		a.pending.removed[path] = true
	}
	if message.GetMoreFragments() {
		return false, nil
	}
	return true, a.finish(header, missingGlobs)
}

// place begins a version with its first fragment, or checks that the fragment continues the one that was begun.
func (a *assembler) place(fragment pendingVersion) error {
	header := fragment.header
	if begun := a.pending; begun != nil {
		if fragment.delta != begun.delta || fragment.base != begun.base || fragment.digest != begun.digest ||
			header.GetEpoch() != begun.header.GetEpoch() || header.GetVersion() != begun.header.GetVersion() {
			return nonsense(begun.header, "a fragment of something else came before its end")
		}
		return nil
	}
	if header.GetVersion() < 1 {
		return nonsense(header, "versions begin at 1")
	}
	if header.GetEpoch() == a.epoch && header.GetVersion() <= a.version {
		return nonsense(header, "version %d came before it", a.version)
	}
	if fragment.delta && (!a.stands || a.held.Version() != fragment.base) {
		return nonsense(header, "it is a delta against version %d, which is not the one held", fragment.base)
	}
	fragment.removed = map[string]bool{}
	a.pending = &fragment
	return nil
}

func (a *assembler) addFile(part *pb.ConfigFile) error {
	p := a.pending
	path, offset, content := part.GetPath(), part.GetContentOffset(), part.GetContent()
	if p.rest == 0 {
		if path == "" || len(p.files) > 0 && path <= p.files[len(p.files)-1].Path {
			return nonsense(p.header, "file %q is not in order", path)
		}
		// The sizes are believed for this only: a file that is longer or shorter than it says is found out below.
		p.rest = part.GetSizeBytes()
		if p.rest > a.maxBytes-p.bytes {
			return a.tooLarge(p.header)
		}
		p.bytes += p.rest
		if p.names += overhead(path, part.GetContentType()); p.names > mostOverhead {
			return a.tooLarge(p.header)
		}
		p.files = append(p.files, File{
			Path: path, Digest: part.GetDigest(), ContentType: part.GetContentType(),
			LastChangedVersion: part.GetLastChangedVersion(),
		})
	}
	file := &p.files[len(p.files)-1]
	if path != file.Path || part.GetDigest() != file.Digest || offset != int64(len(file.Content)) ||
		part.GetSizeBytes() != offset+p.rest {
		return nonsense(p.header, "after byte %d of file %q comes something else (%q from byte %d)",
			len(file.Content), file.Path, path, offset)
	}
	if int64(len(content)) > p.rest {
		return nonsense(p.header, "file %q is longer than its %d bytes", path, part.GetSizeBytes())
	}
	p.rest -= int64(len(content))
	if offset == 0 && p.rest == 0 {
		file.Content = content
	} else {
		if offset == 0 {
			file.Content = make([]byte, 0, min(part.GetSizeBytes(), mostAnnounced))
		}
		file.Content = append(file.Content, content...)
	}
	if p.rest > 0 {
		return nil
	}
	if digest := contentDigest(file.Content); digest != file.Digest {
		return nonsense(p.header, "the bytes of file %q have the digest %s, not %q", path, digest, file.Digest)
	}
	return nil
}

func (a *assembler) finish(header *pb.ResponseHeader, missingGlobs []string) error {
	p := a.pending
	if p.rest > 0 {
		return nonsense(header, "file %q ends before its last byte", p.files[len(p.files)-1].Path)
	}
	files := p.files
	if p.delta {
		for _, file := range a.held.files {
			_, replaced := slices.BinarySearchFunc(p.files, file.Path, comparePath)
			if replaced || p.removed[file.Path] {
				continue
			}
			p.bytes += int64(len(file.Content))
			p.names += overhead(file.Path, file.ContentType)
			if p.bytes > a.maxBytes || p.names > mostOverhead {
				return a.tooLarge(header)
			}
			files = append(files, file)
		}
		slices.SortFunc(files, func(x, y File) int { return comparePath(x, y.Path) })
	}
	if digest := viewDigest(files); digest != p.digest {
		return nonsense(header, "its files have the view digest %s, not %q", digest, p.digest)
	}
	a.held = &Snapshot{
		header: header, files: files, viewDigest: p.digest, missingGlobs: missingGlobs, watchID: a.watchID,
	}
	a.token, a.stands = header.GetResumeToken(), true
	a.epoch, a.version = header.GetEpoch(), header.GetVersion()
	a.pending = nil
	return nil
}

// moveOn takes note that what is held stands for another version, or on another stream, by now.
func (a *assembler) moveOn(header *pb.ResponseHeader) error {
	if header.GetVersion() < 0 {
		return nonsense(header, "versions begin at 1")
	}
	// Unless the server knows what is held, a token would claim what this client does not have.
	if !a.stands || header.GetVersion() == 0 {
		return nil
	}
	if header.GetEpoch() == a.epoch && header.GetVersion() < a.version {
		return nonsense(header, "version %d came before it", a.version)
	}
	if token := header.GetResumeToken(); token != "" {
		a.token = token
	}
	a.epoch, a.version = header.GetEpoch(), header.GetVersion()
	if header.GetVersion() == a.held.Version() && header.GetEpoch() == a.held.Epoch() && a.watchID == a.held.watchID {
		return nil
	}
	moved := *a.held
	moved.header, moved.watchID, moved.fromCache = header, a.watchID, false
	a.held = &moved
	return nil
}

// overhead is what a file takes besides its content.
func overhead(path, contentType string) int64 {
	return int64(len(path)+len(contentType)) + overheadOfFile
}

func (a *assembler) tooLarge(header *pb.ResponseHeader) error {
	return status.Errorf(codes.ResourceExhausted, "%s has more than the %d bytes that this client takes",
		nameOf(header), a.maxBytes)
}

func nonsense(header *pb.ResponseHeader, format string, arguments ...any) error {
	return status.Errorf(codes.DataLoss, "the server sent %s wrong: %s", nameOf(header),
		fmt.Sprintf(format, arguments...))
}

func nameOf(header *pb.ResponseHeader) string {
	return fmt.Sprintf("version %d of source %q", header.GetVersion(), header.GetSource())
}
