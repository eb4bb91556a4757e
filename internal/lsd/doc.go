// Package lsd is the log-structured disk engine: disks and snapshots as a log of chunks, a map of leaves kept by epochs,
// and lineages that share blocks.
//
// A write goes into the tail chunk of its disk's log and into a leaf of the map (write.go, log.go). A snapshot ends the
// disk's epoch (snapshot.go); a clone begins a lineage (clone.go). Checkpoints turn changed leaves into page versions in
// Pebble (checkpoint.go); recovery replays the log behind the last checkpoint (recover.go). Deleting a volume removes
// its name at once; reclaim.go frees what only it held. check.go recomputes every count from nothing.
//
// The engine knows volumes by the ids that its callers choose. It knows no names, owners, prices or protocols.
package lsd
