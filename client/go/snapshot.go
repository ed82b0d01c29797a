package confstream

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	pb "confstream.dev/go/confstream/v1"
)

// File is one file of a snapshot.
type File struct {
	// Path is relative to the source, its components separated by slashes.
	Path string
	// Content is the file's bytes. Snapshots share them: they must not be modified.
	Content []byte
	// Digest is "sha256:" and the hex digest of Content.
	Digest string
	// ContentType is the media type by the file's name, such as application/yaml.
	ContentType string
	// LastChangedVersion is the version, of the snapshot's epoch, that brought this content.
	LastChangedVersion int64
}

// Snapshot is the files of one version, all that the watch's globs select. It never changes.
type Snapshot struct {
	header       *pb.ResponseHeader // not modified
	files        []File             // in byte order of paths
	viewDigest   string
	missingGlobs []string
	watchID      string // the stream on which the server had the header stand for these files; empty: none
	fromCache    bool
}

// Source is the name of the source.
func (s *Snapshot) Source() string { return s.header.GetSource() }

// Epoch is the identity of the version history. Versions of different epochs do not compare.
func (s *Snapshot) Epoch() string { return s.header.GetEpoch() }

// Version is from 1. It may move on without a change of the files; [Watch.Current] has then another Snapshot with the
// same files.
func (s *Snapshot) Version() int64 { return s.header.GetVersion() }

// PublishTime is when the version was published, by the server's clock.
func (s *Snapshot) PublishTime() time.Time { return s.header.GetPublishTime().AsTime() }

// ViewDigest is "sha256:" and the hex digest of the text that sha256sum prints for the files in byte order of paths.
func (s *Snapshot) ViewDigest() string { return s.viewDigest }

// MissingGlobs are those of the watch's globs that select no file.
func (s *Snapshot) MissingGlobs() []string { return slices.Clone(s.missingGlobs) }

// Len is the number of files.
func (s *Snapshot) Len() int { return len(s.files) }

// Files goes over the files in byte order of paths.
func (s *Snapshot) Files() iter.Seq[File] { return slices.Values(s.files) }

// File returns the file of that path, and whether there is one.
func (s *Snapshot) File(path string) (File, bool) {
	at, found := slices.BinarySearchFunc(s.files, path, comparePath)
	if !found {
		return File{}, false
	}
	return s.files[at], true
}

func comparePath(file File, path string) int { return cmp.Compare(file.Path, path) }

// Change is from one content to another.
type Change struct {
	// Old is what was held before; nil at first.
	Old *Snapshot
	// New is never nil.
	New *Snapshot
	// FromCache is true for the copy from the cache directory, which the server has not settled yet.
	FromCache bool
}

// changeTo is the change from old to what is held, if its content is another one.
func changeTo(held, old *Snapshot) (Change, bool) {
	if held == nil || old != nil && old.viewDigest == held.viewDigest {
		return Change{}, false
	}
	return Change{Old: old, New: held, FromCache: held.fromCache}, true
}

// sha256sum marks a line with a leading backslash when it has to escape the name.
var sha256sumName = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)

func viewDigest(files []File) string {
	hash := sha256.New()
	for _, file := range files {
		name := sha256sumName.Replace(file.Path)
		if name != file.Path {
			io.WriteString(hash, `\`)
		}
		io.WriteString(hash, strings.TrimPrefix(file.Digest, digestPrefix)+"  "+name+"\n")
	}
	return digestPrefix + hex.EncodeToString(hash.Sum(nil))
}

const digestPrefix = "sha256:"

func contentDigest(content []byte) string {
	sum := sha256.Sum256(content)
	return digestPrefix + hex.EncodeToString(sum[:])
}
