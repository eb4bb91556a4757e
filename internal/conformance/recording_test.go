package conformance

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// recordings are exchanges of Azure's clients with the real service. They are not part of the repository.
const recordings = "../../../shared/recorded"

// exchange is one recorded request and its answer.
type exchange struct {
	Method          string
	URI             string
	RequestHeaders  map[string]string
	RequestBody     any
	Status          int
	ResponseHeaders map[string]string
	ResponseBody    any

	path string // without host and query, which are in URI
	what subject
}

// recording is one test of a client, as it went.
type recording struct {
	name      string // "azure-cli/2.69.0/test_snapshot_access"
	exchanges []exchange
}

func loadAll(t *testing.T) []recording {
	t.Helper()
	var all []recording
	err := filepath.WalkDir(recordings, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		r, err := load(path)
		all = append(all, r)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there are no recordings in " + recordings)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func load(path string) (recording, error) {
	r := recording{name: strings.TrimSuffix(strings.TrimPrefix(path, recordings+"/"), ".json")}
	data, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(plainNames(string(data))), &r.exchanges); err != nil {
		return r, err
	}
	for i := range r.exchanges {
		e := &r.exchanges[i]
		u, err := url.Parse(e.URI)
		if err != nil {
			return r, err
		}
		e.path, e.what = u.Path, subjectOf(e.Method, u)
		if text, ok := e.RequestBody.(string); ok {
			// An old recorder wrote the body as Python shows bytes.
			text = strings.TrimSuffix(strings.TrimPrefix(text, "b'"), "'")
			if err := json.Unmarshal([]byte(text), &e.RequestBody); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

var (
	groupRE      = regexp.MustCompile(`(?i)/resourcegroups/([^/"?\\]+)`)
	nameRE       = regexp.MustCompile(`/(?:disks|snapshots)/([^/"?\\]+)`)
	shoutNameRE  = regexp.MustCompile(`/(?:disks|snapshots)/([A-Z0-9_.-]+)"`)
	shoutGroupRE = regexp.MustCompile(`/resourceGroups/([A-Z0-9_.-]+)/`)
)

// plainNames undoes what recording did to names. Azure's canary regions are on no public list, and each has a twin that
// is. Azure answers some ids with the group in capitals, and the recorder replaced a group's name only as it was
// written: what is left is the name's beginning, by which it is found again.
func plainNames(text string) string {
	text = strings.NewReplacer("eastus2euap", "eastus2", "EastUS2EUAP", "EastUS2", "centraluseuap", "centralus",
		"CentralUSEUAP", "CentralUS").Replace(text)
	for _, shout := range []struct{ any, loud *regexp.Regexp }{{groupRE, shoutGroupRE}, {nameRE, shoutNameRE}} {
		known := map[string]bool{}
		for _, m := range shout.any.FindAllStringSubmatch(text, -1) {
			if m[1] != strings.ToUpper(m[1]) {
				known[m[1]] = true
			}
		}
		text = shout.loud.ReplaceAllStringFunc(text, func(s string) string {
			loud := shout.loud.FindStringSubmatch(s)[1]
			if name := quiet(loud, known); name != "" {
				return strings.Replace(s, loud, name, 1)
			}
			return s
		})
	}
	return text
}

// quiet finds the known name whose beginning the loud one has: the longest.
func quiet(loud string, known map[string]bool) (best string) {
	length := 0
	for name := range known {
		stem := strings.ToLower(strings.TrimRight(name, "0123456789"))
		if strings.HasPrefix(strings.ToLower(loud), stem) && len(stem) > length {
			best, length = name, len(stem)
		}
	}
	return best
}

// object gives a body that is a JSON object, else an empty one.
func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// when finds the time at which the exchange's operation began, if its body says so.
func (e exchange) when() (time.Time, bool) {
	s, _ := object(e.ResponseBody)["startTime"].(string)
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}
