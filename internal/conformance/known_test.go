package conformance

import "regexp"

// A known difference is one that is there for a reason. Each row must still be met, and what no row explains fails.
type known struct {
	recording *regexp.Regexp
	diff      *regexp.Regexp // of one line of a difference
	why       string
}

func re(s string) *regexp.Regexp { return regexp.MustCompile(s) }

var knownDifferences = []known{
	{re(`2.69.0/test_disk_encryption_set_snapshot`), re(`^header.*api-version`), "asked at 2023-10-02, West Central US named 2023-04-02 in its poll URLs; all other regions name the request's version"},
	{re(`2.45.0/test_vm_snapshot_copy_start_detection`), re(`^header.*api-version`), "asked at versions of 2022, West US named 2021-04-01 in this recording's poll URLs, and the request's version in all others"},
	{re(`2.45.0/test_vm_snapshot_copy_start_detection`), re(`^error.message.*CopyStart creation`), "CopyStart from a disk: the recorders' subscription had no CopyStart at all"},
	{re(`powershell`), re(`diskSizeGB: 5, recorded 10|^sku`), "that recorder kept equal requests together: the answer to one that came after the PATCH stands before it"},
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
