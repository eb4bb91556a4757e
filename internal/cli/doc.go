// Package cli holds tintype's client commands: group, disk and snapshot, with
// the Azure CLI's grammar (names, options, defaults, output formats, --query,
// error texts, exit codes; az 2.45 is the reference), and the commands that are
// Tintype's own: attach, detach, sizes, import and export of image files.
//
// The package speaks to a server over HTTPS and nothing else. It finds the server
// and its credentials in a folder that the server wrote (see Client discovery in
// discover.go), trusts only the certificate authority in that folder, and keeps
// tokens in memory for the life of the process.
package cli
