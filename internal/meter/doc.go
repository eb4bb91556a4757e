// Package meter says what disks and snapshots have used, when, and what that costs.
//
// It keeps samples: what a volume was from a moment on, until its next sample. A change, creation or deletion comes from the
// catalog, which records it in the transaction that makes it; sizes come from the store, then and on every full hour. A
// sample that says nothing new is not kept. The bill is the integral of the samples in whole numbers, computed anew
// for each question: there are no sums on disk that could disagree with them.
//
// Nothing here is called by a guest's read or write.
package meter
