// Package transfer moves disks between files and signed blob URLs, as a client: over HTTPS, or over the socket of a server on the
// same machine.
//
// Holes are neither read nor sent, in both directions. What failed is tried again, with growing pauses; what was broken
// off is resumed when a journal proves which parts are done, and otherwise begins cleanly from the start. A file appears
// under its name only when it is whole and on disk. Images in foreign formats go through qemu-img, which is always told
// the format that we found out and never guesses.
package transfer
