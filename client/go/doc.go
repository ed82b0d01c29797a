// Package confstream follows the configuration that a Confstream server streams: whole snapshots of a source's files,
// checked, versioned, and never half of one. docs/clients.md of the project is the contract that it keeps.
//
// A [Client] is a connection to one server, a [Watch] follows one source of it for as long as the program runs, and a
// [Snapshot] is the files of one version. All of them may be used by several goroutines at once.
package confstream
