package conformance

import (
	"net/url"
	"regexp"
	"strings"
)

// A rule lets two different values match at the places whose paths it names. Paths are keys joined by dots; elements of
// a list count as the list.
type rule struct {
	why   string
	at    *regexp.Regexp
	match func(m *matcher, recorded, got string) bool
}

var (
	guidRE = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	timeRE = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?(\+00:00|-08:00)$`) // in 2018 not yet UTC
	sasRE  = regexp.MustCompile(`^https://[^?]*/(abcd|[0-9a-f-]{36}_vmgs)\?sv=(2018-03-28|2017-04-17)&sr=b&si=[0-9a-f-]{36}&sig=\S+$`)
	zuluRE = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$`)
	// versionRE is the version of a key.
	versionRE = regexp.MustCompile(`\b[0-9a-f]{32}\b`)
	pollRE    = regexp.MustCompile(`^https://[^/]+(/subscriptions/[^?]*)\?(.*)$`)
)

var rules = []rule{
	{
		why:   "times differ; their form may not",
		at:    regexp.MustCompile(`(^|\.)(timeCreated|startTime|endTime|lastKeyRotationTimestamp)$`),
		match: func(_ *matcher, rec, got string) bool { return timeRE.MatchString(rec) && timeRE.MatchString(got) },
	},
	{
		why:   "ids are drawn at random; the same one must come back wherever Azure's did",
		at:    regexp.MustCompile(`(^|\.)(uniqueId|sourceUniqueId|incrementalSnapshotFamilyId|name|principalId|tenantId|vmId|restorePointCollectionId|objectId)$`),
		match: sameGUIDs,
	},
	{
		why:   "Azure puts a random id behind the name of a disk's restore point",
		at:    regexp.MustCompile(`(^|\.)((diskRestorePoint|sourceDiskRestorePoint)\.id|creationData\.sourceResourceId)$`),
		match: sameGUIDs,
	},
	{
		why:   "Azure shows a machine's location as its creator wrote it; the recording does not have that",
		at:    regexp.MustCompile(`(^|\.)(source|sourceMetadata)\.location$`),
		match: func(_ *matcher, rec, got string) bool { return strings.EqualFold(rec, got) },
	},
	{
		why:   "versions of keys are drawn at random; the same one must come back wherever Azure's did",
		at:    regexp.MustCompile(`(^|\.)(kid|keyUrl)$`),
		match: sameVersions,
	},
	{
		why:   "keys are drawn at random; their size may not differ",
		at:    regexp.MustCompile(`^key\.n$`),
		match: func(_ *matcher, rec, got string) bool { return len(rec) == len(got) },
	},
	{
		why:   "a new vault waits for its name in DNS at Azure, and has it at once here",
		at:    regexp.MustCompile(`^properties\.provisioningState$`),
		match: func(_ *matcher, rec, got string) bool { return rec == "RegisteringDns" && got == "Succeeded" },
	},
	{
		why:   "while it waits its URL has no slash at the end",
		at:    regexp.MustCompile(`^properties\.vaultUri$`),
		match: func(_ *matcher, rec, got string) bool { return rec+"/" == got },
	},
	{
		why: "who made a vault, and when",
		at:  regexp.MustCompile(`(^|\.)systemData\.(createdBy|lastModifiedBy)$`),
		match: func(_ *matcher, rec, got string) bool {
			return strings.Contains(rec, "@") == strings.Contains(got, "@")
		},
	},
	{
		why:   "times differ; their form may not",
		at:    regexp.MustCompile(`(^|\.)systemData\.(createdAt|lastModifiedAt)$`),
		match: func(_ *matcher, rec, got string) bool { return zuluRE.MatchString(rec) && zuluRE.MatchString(got) },
	},
	{
		why:   "a SAS holds a random host, container, id and signature, and Azure's of a guest state another name of the blob",
		at:    regexp.MustCompile(`(^|\.)(accessSAS|accessSas|securityDataAccessSAS)$`),
		match: func(_ *matcher, rec, got string) bool { return sasRE.MatchString(rec) && sasRE.MatchString(got) },
	},
	{
		why:   "poll URLs hold random ids (the operation's, p); Azure's since 2023 also a signature (t, c, s, h)",
		at:    regexp.MustCompile(`^header (azure-asyncoperation|location)$`),
		match: samePollURL,
	},
}

// progress are the places of numbers between 0 and 100 that tell how far something is: Azure's copies between regions had
// just begun, and ours are whole at once.
var progress = regexp.MustCompile(`(^|\.)properties\.completionPercent$`)

func sameProgress(at string, rec, got any) bool {
	a, ok := rec.(float64)
	b, also := got.(float64)
	return ok && also && progress.MatchString(at) && a >= 0 && a <= b && b <= 100
}

// sameGUIDs holds when the values are the same but for ids, and each id stands for one and the same other id.
func sameGUIDs(m *matcher, rec, got string) bool {
	if guidRE.ReplaceAllString(rec, "") != guidRE.ReplaceAllString(got, "") {
		return false
	}
	a, b := guidRE.FindAllString(rec, -1), guidRE.FindAllString(got, -1)
	if len(a) == 0 || len(a) != len(b) {
		return false
	}
	for i := range a {
		if !m.bind(a[i], b[i]) {
			return false
		}
	}
	return true
}

// sameVersions holds when the values are the same but for the version of a key, which stands for one and the same other.
func sameVersions(m *matcher, rec, got string) bool {
	a, b := versionRE.FindString(rec), versionRE.FindString(got)
	return a != "" && b != "" && strings.Replace(rec, a, b, 1) == got && m.bind(a, b)
}

// seconds are the places of times that are numbers.
var seconds = regexp.MustCompile(`(^|\.)attributes\.(created|updated)$`)

func bothSeconds(at string, rec, got any) bool {
	_, ok := rec.(float64)
	_, also := got.(float64)
	return ok && also && seconds.MatchString(at)
}

var opaqueRE = regexp.MustCompile(`/operationresults/[^/]+$`)

// samePollURL holds when both URLs name the same kind of operation in the same place, and the same answer of it.
func samePollURL(m *matcher, rec, got string) bool {
	a, b := pollRE.FindStringSubmatch(rec), pollRE.FindStringSubmatch(got)
	if a == nil || b == nil {
		return false
	}
	if opaqueRE.MatchString(a[1]) && opaqueRE.MatchString(b[1]) {
		a[1], b[1] = opaqueRE.ReplaceAllString(a[1], ""), opaqueRE.ReplaceAllString(b[1], "")
	}
	a[1], b[1] = strings.ToLower(a[1]), strings.ToLower(b[1]) // a machine's location is in the case of its creator
	if a[1] != b[1] && !sameGUIDs(m, a[1], b[1]) {
		return false
	}
	return pollQuery(a[2]) == pollQuery(b[2])
}

// pollQuery gives what a poll URL's query says: at which api-version, and which of the two answers it asks for.
func pollQuery(q string) string {
	v, err := url.ParseQuery(q)
	if err != nil {
		return "bad"
	}
	return v.Get("api-version") + " " + v.Get("monitor")
}

// optional are keys that Azure puts into an answer at some times and not at others, between recordings of the same
// request, or that it no longer sends. They may be absent on either side; where both have them their values count.
var optional = []struct {
	why    string
	method string
	status int // 0: any
	at     *regexp.Regexp
}{
	{
		why:    "the echo of a PUT names the resource in newer recordings and does not in older ones",
		method: "PUT", status: 202,
		at: regexp.MustCompile(`^(name|id|type|properties\.isArmResource)$`),
	},
	{
		why:    "the echo of a PUT has these at times",
		method: "PUT", status: 202,
		at: regexp.MustCompile(`^properties\.(faultDomain|publicNetworkAccess|readOnly|creationData\.sourceUniqueId)$`),
	},
	{
		why:    "the echo of a PATCH names the resource in some recordings and not in others",
		method: "PATCH", status: 202,
		at: regexp.MustCompile(`^(name|id|type|properties\.faultDomain)$`),
	},
	{
		why: "a policy of the recorders' subscription adds tags to groups",
		at:  regexp.MustCompile(`^tags\.(Creator|DateCreated)$`),
	},
	{
		why: "Azure counts owners of a disk; one that was never attached has none",
		at:  regexp.MustCompile(`(^|\.)properties\.LastOwnershipUpdateTime$`),
	},
}

// mayLack tells whether the key may be absent on one side.
func mayLack(e exchange, path string) bool {
	for _, o := range optional {
		if (o.method == "" || o.method == e.Method) && (o.status == 0 || o.status == e.Status) && o.at.MatchString(path) {
			return true
		}
	}
	return false
}

// comparedHeaders must be the same in both answers. The recordings were filtered of request ids and Retry-After; the
// x-ms-ratelimit-* counters tell what is left of a throttle, and there is none here.
var comparedHeaders = []string{"azure-asyncoperation", "location", "content-type", "x-ms-failure-cause"}
