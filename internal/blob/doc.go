// Package blob is the front door for a disk's bytes over HTTPS: Azure's page-blob protocol behind a signed URL.
//
// A blob is always a fixed VHD, the data of a [block.Device] followed by a footer of 512 bytes. Reading, the footer is
// made on the fly; uploading, it is kept beside the disk. The package knows nothing of names, owners and states: what a
// URL opens, and until when, [Grants] says afresh on every request.
package blob
