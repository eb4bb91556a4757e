package conformance

import (
	"regexp"
	"strings"
)

// pointVersion is the api-version of restore points and their collections in the description.
const pointVersion = "2024-07-01"

var (
	collectionRE = regexp.MustCompile(`/subscriptions/[0-9a-f-]+/resourceGroups/[^/"]+/providers/Microsoft\.Compute/restorePointCollections/[^/"?]+`)
	pointRE      = regexp.MustCompile(collectionRE.String() + `/restorePoints/[^/"?]+`)
	machineIDRE  = regexp.MustCompile(`/subscriptions/[0-9a-f-]+/resourceGroups/[^/"]+/providers/Microsoft\.Compute/virtualMachines/[^/"?]+`)
)

// prepareCollection makes what an example of restore points takes for granted: the machine or the collection that they are of, the
// collection, and the point that it reads, deletes or copies.
func (r *rig) prepareCollection(method, target string, body any) {
	r.t.Helper()
	text := whole(body)
	source := machineIDRE.FindString(text)
	at := "West US"
	if location, _ := object(body)["location"].(string); location != "" {
		at = location
	}
	if from := collectionRE.FindString(text); from != "" {
		machine := replaced(from, "restorePointCollections", "virtualMachines")
		r.makeMachine(machine, "West US", "")
		r.makeCollection(from, machine)
		if p := pointRE.FindString(text); p != "" {
			r.make(p, map[string]any{}, pointVersion)
		}
		source = from
	} else if source != "" {
		r.makeMachine(source, at, "")
	}
	own := collectionRE.FindString(target)
	if own == "" || own == target && method == "PUT" {
		return
	}
	if source == "" {
		source = replaced(own, "restorePointCollections", "virtualMachines")
		r.makeMachine(source, at, computeRE.FindString(text))
	}
	r.makeCollection(own, source)
	if point := pointRE.FindString(target); point != "" && method != "PUT" {
		r.make(point, map[string]any{}, pointVersion)
	}
}

func replaced(id, from, to string) string { return strings.Replace(id, "/"+from+"/", "/"+to+"/", 1) }

func (r *rig) makeCollection(id, source string) {
	r.t.Helper()
	r.make(id, map[string]any{"location": "West US", "properties": map[string]any{"source": map[string]any{"id": source}}}, pointVersion)
}

// makeMachine makes a machine with a system's disk and a second one, which may be there already.
func (r *rig) makeMachine(id, location, data string) {
	r.t.Helper()
	group := groupRE.FindStringSubmatch(id)[1]
	r.make("/subscriptions/"+subscription+"/resourceGroups/"+group, map[string]any{"location": "westus"}, "2021-04-01")
	disk := func(id string) map[string]any {
		r.make(id, map[string]any{
			"location": location, "properties": map[string]any{"creationData": map[string]any{"createOption": "Empty"}, "diskSizeGB": 4},
		}, specVersion)
		return map[string]any{"createOption": "Attach", "lun": 0, "managedDisk": map[string]any{"id": id}}
	}
	system := replaced(id, "virtualMachines", "disks")
	storage := map[string]any{"osDisk": disk(system + "_os")}
	if data == "" {
		data = system + "_data"
		storage["dataDisks"] = []any{disk(data)}
	} else {
		storage["dataDisks"] = []any{map[string]any{"createOption": "Attach", "lun": 0, "managedDisk": map[string]any{"id": data}}}
	}
	r.make(id, map[string]any{"location": location, "properties": map[string]any{"storageProfile": storage}}, pointVersion)
}
