package crashfs

import "hash/fnv"

// mix hashes words into one, by the finalizer of SplitMix64.
func mix(words ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, w := range words {
		h = finish(h ^ (w + 0x9e3779b97f4a7c15 + h<<6))
	}
	return h
}

func finish(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func hashName(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name)) // Never fails.
	return h.Sum64()
}

// chance is how many of 256 pieces of a file are kept: the extremes are as likely
// as the middle.
func chance(lot uint64) uint64 {
	return [...]uint64{0, 16, 128, 128, 240, 256}[lot%6]
}
