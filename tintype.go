// Package tintype holds the nouns of Tintype and the rules that are about them alone: what a disk, a snapshot, a
// resource group and an operation are, which names, sizes, skus and regions exist, and how a refusal is worded.
//
// It imports nothing else of Tintype. Where the wording or the bounds of a rule come from Azure, the text is Azure's
// own, because clients match on it.
package tintype
