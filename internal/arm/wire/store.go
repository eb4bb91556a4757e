package wire

// Scrub is what our own Tintype.Store/scrub answers.
type Scrub struct {
	BytesPerSecond int64      `json:"bytesPerSecond"`
	Running        bool       `json:"running"`
	Begun          string     `json:"begun,omitempty"`
	ReadBytes      int64      `json:"readBytes"`
	Last           *ScrubPass `json:"last"`
	Restored       int64      `json:"restored"`
}

// ScrubPass is one reading of everything.
type ScrubPass struct {
	Begun     string `json:"begun"`
	Ended     string `json:"ended"`
	ReadBytes int64  `json:"readBytes"`
}

// Damages is what damage answers. More tells that there are more than the list has.
type Damages struct {
	Value []Damage `json:"value"`
	More  bool     `json:"more"`
}

// Damage is a range of bytes that cannot be read as it was written. A volume that no disk or snapshot has is named alone.
type Damage struct {
	ID     string `json:"id,omitempty"`
	Volume string `json:"volume"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	Cause  string `json:"cause"`
}
