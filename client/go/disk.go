package confstream

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	pb "confstream.dev/go/confstream/v1"
)

// What a program that was killed left half written is removed after this time; until then it may belong to one that
// lives.
const litterAge = 10 * time.Minute

// diskCopy is the last good snapshot of a view on a disk, in the form that clients in all languages share.
type diskCopy struct{ path string }

func newDiskCopy(directory, source string, globs []string) (*diskCopy, error) {
	if strings.ContainsRune(source, filepath.Separator) {
		return nil, fmt.Errorf("confstream: source %q cannot be part of a file's name in the cache directory", source)
	}
	view := sha256.New()
	sorted := slices.Sorted(slices.Values(globs))
	for _, glob := range slices.Compact(sorted) {
		io.WriteString(view, glob+"\n")
	}
	name := source + "." + hex.EncodeToString(view.Sum(nil))[:16] + ".snapshot"
	return &diskCopy{filepath.Join(directory, name)}, nil
}

// read returns the copy, or nil if there is none. It is an error if it is not what this client would take from a server.
func (d *diskCopy) read(source string, maxBytes int64) (*Snapshot, error) {
	d.tidy()
	data, err := readRegular(d.path, maxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	message := new(pb.WatchResponse)
	if err := proto.Unmarshal(data, message); err != nil {
		return nil, fmt.Errorf("%s: %w", d.path, err)
	}
	if message.GetSnapshot() == nil || message.GetMoreFragments() {
		return nil, fmt.Errorf("%s: it is no whole snapshot", d.path)
	}
	if stored := message.GetHeader().GetSource(); stored != source {
		return nil, fmt.Errorf("%s: it is of source %q", d.path, stored)
	}
	a := assembler{maxBytes: maxBytes}
	if _, err := a.take(message); err != nil {
		return nil, fmt.Errorf("%s: %w", d.path, err)
	}
	a.held.fromCache, a.held.watchID = true, ""
	return a.held, nil
}

// readRegular reads a file, unless it is none, or has more bytes than a copy can have.
func readRegular(path string, maxBytes int64) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would hold the program up
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: it is no file", path)
	}
	if info.Size()-mostOverhead > maxBytes {
		return nil, fmt.Errorf("%s: it has %d bytes, and at most %d are taken", path, info.Size(), maxBytes)
	}
	return io.ReadAll(file)
}

// write replaces the copy, so that whatever happens there is the old or the new one.
func (d *diskCopy) write(s *Snapshot) error {
	snapshot := &pb.Snapshot{ViewDigest: s.viewDigest, MissingGlobs: s.missingGlobs}
	for file := range s.Files() {
		snapshot.Files = append(snapshot.Files, &pb.ConfigFile{
			Path: file.Path, Content: file.Content, SizeBytes: int64(len(file.Content)), Digest: file.Digest,
			ContentType: file.ContentType, LastChangedVersion: file.LastChangedVersion,
		})
	}
	data, err := proto.Marshal(&pb.WatchResponse{
		Header: s.header, Event: &pb.WatchResponse_Snapshot{Snapshot: snapshot},
	})
	if err != nil {
		return err
	}
	directory := filepath.Dir(d.path)
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(directory, filepath.Base(d.path)+".*.tmp") // of mode 0600
	if err != nil {
		return err
	}
	_, err = temporary.Write(data)
	if err == nil {
		err = temporary.Sync()
	}
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), d.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return syncDirectory(directory)
}

// tidy removes what programs that were killed while they wrote have left. One that writes now is not touched.
func (d *diskCopy) tidy() {
	directory, name := filepath.Dir(d.path), filepath.Base(d.path)
	entries, _ := os.ReadDir(directory)
	for _, entry := range entries {
		ours := strings.HasPrefix(entry.Name(), name+".") && strings.HasSuffix(entry.Name(), ".tmp")
		if info, err := entry.Info(); ours && err == nil && time.Since(info.ModTime()) > litterAge {
			os.Remove(filepath.Join(directory, entry.Name()))
		}
	}
}

func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync()
}
