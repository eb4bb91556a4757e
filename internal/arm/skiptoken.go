package arm

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// skipToken is the mark at which a list goes on; nextLink made it. What it did not make for this list is refused: whoever follows it
// would miss resources without a word.
func (c *Call) skipToken() (string, error) {
	sent := c.Query.Get("$skiptoken")
	if sent == "" {
		return "", nil
	}
	token, err := base64.RawURLEncoding.DecodeString(sent)
	if err != nil || len(token) < 4 || len(token) > 4+maxID || binary.BigEndian.Uint32(token) != c.sumOf(string(token[4:])) {
		return "", gateway(http.StatusBadRequest, "InvalidSkipToken", "The provided skip token is not valid.")
	}
	return string(token[4:]), nil
}

// sumOf tells a mark of this list from another's, and from a slip; it protects nothing.
func (c *Call) sumOf(mark string) uint32 {
	return crc32.ChecksumIEEE([]byte(strings.ToLower(c.Path) + "\x00" + mark))
}

// nextLink is the URL of a list's next page, "" when there is none. It asks for what this page was asked for.
func (c *Call) nextLink(next string) string {
	if next == "" {
		return ""
	}
	q := maps.Clone(c.Query)
	q.Set("$skiptoken", base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, c.sumOf(next)), next...)))
	return c.BaseURL + (&url.URL{Path: c.Path, RawQuery: q.Encode()}).String()
}
