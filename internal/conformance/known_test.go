package conformance

import "regexp"

// A known difference is one that is there for a reason. Each row must still be met, and what no row explains fails.
type known struct {
	recording *regexp.Regexp
	diff      *regexp.Regexp // of one line of a difference
	why       string
}

func re(s string) *regexp.Regexp { return regexp.MustCompile(s) }

var everywhere = re(``)

const (
	notBuilt = "not built yet"
	follows  = "follows from a write that is not built yet"
)

var knownDifferences = []known{
	{re(`test_vm_large_disk`), everywhere, "recorded in April 2019, when an upload took diskSizeGB in place of uploadSizeBytes, and a 404 had no link"},
	{re(`snapshot_copy_start|encryption_set_snapshot`), re(`^header.*api-version`), "at times Azure's poll URL has another api-version than the request"},
	{everywhere, re(`recorded "ActiveSAS"`), "Azure goes on to show a grant that has run out, for minutes"},
	{everywhere, re(`'CopyStart'|'UploadPrepared|GuestStateSAS|VHDX`), notBuilt},
	{everywhere, re(`recorded 20.*(not found in this Azure|was not found)`), follows},
	{re(`ultra_ssd|zones`), re(`readOnly|logicalSectorSize|maxShares|ReadOnly|zones`), notBuilt},
	{re(`powershell`), re(`resourceGroups", recorded nothing|encryptionSettings`), notBuilt},
	{re(`powershell`), re(`recorded nothing|faultDomain|diskSizeGB: 5|sku`), notBuilt},
}

// explain finds the row that explains a line of a difference.
func explain(recording, diff string) int {
	for i, k := range knownDifferences {
		if k.recording.MatchString(recording) && k.diff.MatchString(diff) {
			return i
		}
	}
	return -1
}
