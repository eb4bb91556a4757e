package conformance

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
)

// What recordings do with virtual machines can't be replayed. What a machine made is made here by other means, so that
// what az then did with it can be; an answer that shows a machine at work is left out.
const (
	madeByMachine  = "the disk was made by a virtual machine"
	heldByMachine  = "the disk is attached to a virtual machine"
	restGuest      = "a restore point for which Azure's agent brought the guest's file systems to rest: ours is CrashConsistent, and the same but for that"
	fromAnImage    = "made from an image of Azure's marketplace"
	fromStorage    = "imported from a storage account of Azure's"
	ofOldTimes     = "recorded in April 2019 in a preview: an upload took diskSizeGB in place of uploadSizeBytes, and needed no VHD"
	withoutTheRest = "a list of key vaults"
)

// cannot says why the exchange can't be had here, "" when it can.
func (p *player) cannot(e exchange) string {
	if strings.HasSuffix(p.name, "/test_vm_large_disk") {
		return ofOldTimes
	}
	if why := p.lostOps[e.what.op]; e.what.op != "" && why != "" {
		return why
	}
	if why := p.lost[e.what.name]; why != "" && e.what.name != "" {
		return why
	}
	if strings.HasPrefix(e.what.kind, "Microsoft.Compute/restorePointCollections") && e.Method == http.MethodPut {
		p.seedMachine(e)
	}
	if e.what.kind == "Microsoft.Compute/images" && e.Method == http.MethodPut {
		p.seedImaged(e)
	}
	body, text := object(e.ResponseBody), whole(e.RequestBody)
	props := object(body["properties"])
	switch {
	case strings.Contains(text, `"FromImage"`):
		return fromAnImage
	case strings.Contains(text, `"Import"`):
		return fromStorage
	case body["managedBy"] != nil, props["diskState"] == "Reserved", props["diskState"] == "Attached":
		p.seed(e)
		return heldByMachine
	}
	for name, why := range p.lost {
		if strings.Contains(strings.ToLower(text), name+`"`) {
			return why
		}
	}
	if e.what.kind == "resources" && strings.Contains(whole(e.ResponseBody), `"type":"Microsoft.KeyVault`) {
		return withoutTheRest
	}
	if e.Method == http.MethodGet && e.Status == http.StatusOK && e.what.kind == "Microsoft.Compute/disks" && p.seed(e) {
		return madeByMachine
	}
	return ""
}

// lose notes that what a write would have made is not there, and that its operation can't be polled.
func (p *player) lose(e exchange, why string) {
	if why == heldByMachine || why == madeByMachine {
		return
	}
	if m := operationRE.FindStringSubmatch(e.ResponseHeaders["azure-asyncoperation"]); m != nil {
		p.lostOps[m[1]] = why
	}
	if _, ok := p.lost[e.what.name]; !ok && e.Method == http.MethodPut {
		p.lost[e.what.name] = why
	}
}

// seed makes an empty disk with the recorded one's size, kind and system when there is none of its name.
func (p *player) seed(e exchange) bool {
	path, _, _ := strings.Cut(strings.TrimPrefix(e.URI, "https://"+armHost), "?")
	target := path + "?api-version=2024-03-02"
	if p.do("GET", target, nil).status == http.StatusOK {
		return false
	}
	body := object(e.ResponseBody)
	if object(body["properties"])["diskSizeGB"] == nil {
		return false
	}
	props := map[string]any{"creationData": map[string]any{"createOption": "Empty"}}
	for _, k := range []string{
		"diskSizeGB", "osType", "hyperVGeneration", "supportedCapabilities", "securityProfile", "purchasePlan", "supportsHibernation",
	} {
		if v, ok := object(body["properties"])[k]; ok {
			props[k] = v
		}
	}
	want := map[string]any{"location": body["location"], "zones": body["zones"], "properties": props}
	if sku := object(body["sku"])["name"]; sku != nil {
		want["sku"] = map[string]any{"name": sku}
	}
	a := p.do("PUT", target, want)
	if a.status != http.StatusAccepted {
		return false
	}
	p.settle(a)
	own, _ := object(object(p.do("GET", target, nil).body)["properties"])["uniqueId"].(string)
	if rec, ok := object(body["properties"])["uniqueId"].(string); ok {
		p.matcher.bind(rec, own)
	}
	return true
}

// seedMachine makes the virtual machine that the collection of restore points is of, with the disks that its restore points
// show, when there is none of its name.
func (p *player) seedMachine(e exchange) {
	source, _ := object(object(object(e.RequestBody)["properties"])["source"])["id"].(string)
	if !strings.Contains(source, "/virtualMachines/") {
		return
	}
	const version = "?api-version=2024-07-01"
	var meta map[string]any
	for _, other := range p.all {
		found := object(object(object(other.ResponseBody)["properties"])["sourceMetadata"])
		if found["vmId"] != nil && strings.HasPrefix(other.what.name, e.what.name) {
			meta = found
			break
		}
	}
	if meta == nil {
		return
	}
	storage := object(meta["storageProfile"])
	place := p.seedPlace(object(storage["osDisk"]), e)
	delete(place, "createOption")
	profile := map[string]any{"osDisk": place}
	var data []any
	disks, _ := storage["dataDisks"].([]any)
	for _, d := range disks {
		data = append(data, p.seedPlace(object(d), e))
	}
	profile["dataDisks"] = data
	if meta["osProfile"] != nil {
		p.imagedMachine(source, meta, place, e)
	}
	a := p.do("PUT", source+version, map[string]any{"location": object(e.RequestBody)["location"], "properties": map[string]any{
		"hardwareProfile": meta["hardwareProfile"], "storageProfile": profile,
	}})
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		p.t.Fatalf("machine %s: %d %s", source, a.status, show(a.body))
	}
	if rec, ok := meta["vmId"].(string); ok {
		p.matcher.bind(rec, object(object(a.body)["properties"])["vmId"].(string))
	}
}

// imagedMachine makes a machine with the recorded one's osProfile, which takes an image: one of the disk that will take the place of what is
// made of it, as a client of Azure swaps a system's disk.
func (p *player) imagedMachine(source string, meta, place map[string]any, e exchange) {
	const version = "?api-version=2024-07-01"
	at, name, _ := strings.Cut(source, "/virtualMachines/")
	image, location := at+"/images/"+name, object(e.RequestBody)["location"]
	system := map[string]any{"osType": "Linux", "osState": "Generalized", "managedDisk": place["managedDisk"]}
	a := p.do("PUT", image+version, map[string]any{"location": location, "properties": map[string]any{"storageProfile": map[string]any{"osDisk": system}}})
	if a.status != http.StatusCreated {
		p.t.Fatalf("image %s: %d %s", image, a.status, show(a.body))
	}
	login := maps.Clone(object(meta["osProfile"]))
	login["adminPassword"] = "of-no-use-here"
	a = p.do("PUT", source+version, map[string]any{"location": location, "properties": map[string]any{
		"hardwareProfile": meta["hardwareProfile"], "osProfile": login, "storageProfile": map[string]any{
			"imageReference": map[string]any{"id": image}, "osDisk": map[string]any{"createOption": "FromImage", "deleteOption": "Delete"},
		},
	}})
	if a.status != http.StatusCreated {
		p.t.Fatalf("machine %s: %d %s", source, a.status, show(a.body))
	}
}

// seedImaged makes the generalized virtual machine that an image is of, with the system's disk that the image shows later, as large as it is
// then.
func (p *player) seedImaged(e exchange) {
	source, _ := object(object(object(e.RequestBody)["properties"])["sourceVirtualMachine"])["id"].(string)
	if source == "" {
		return
	}
	var disk map[string]any
	for _, other := range p.all {
		if found := object(other.ResponseBody); other.what.name == e.what.name && other.Method == http.MethodGet && found["properties"] != nil {
			disk = object(object(object(found["properties"])["storageProfile"])["osDisk"])
			break
		}
	}
	place := p.seedPlace(map[string]any{
		"osType": disk["osType"], "caching": disk["caching"], "diskSizeGB": disk["diskSizeGB"],
		"managedDisk": map[string]any{"id": object(disk["managedDisk"])["id"], "storageAccountType": disk["storageAccountType"]},
	}, e)
	a := p.do("PUT", source+"?api-version=2024-07-01", map[string]any{"location": object(e.RequestBody)["location"], "properties": map[string]any{
		"storageProfile": map[string]any{"osDisk": place},
	}})
	if a.status != http.StatusCreated {
		p.t.Fatalf("machine %s: %d %s", source, a.status, show(a.body))
	}
	if a := p.do("POST", source+"/generalize?api-version=2024-07-01", nil); a.status != http.StatusOK {
		p.t.Fatalf("machine %s: %d %s", source, a.status, show(a.body))
	}
}

// seedPlace is a disk's place in a machine. The disk is made when the recording did not make it.
func (p *player) seedPlace(d map[string]any, e exchange) map[string]any {
	id, _ := object(d["managedDisk"])["id"].(string)
	target := id + "?api-version=2024-03-02"
	props := map[string]any{"creationData": map[string]any{"createOption": "Empty"}, "diskSizeGB": d["diskSizeGB"], "osType": d["osType"]}
	if p.do("GET", target, nil).status != http.StatusOK {
		a := p.do("PUT", target, map[string]any{
			"location": object(e.RequestBody)["location"], "sku": map[string]any{"name": object(d["managedDisk"])["storageAccountType"]}, "properties": props,
		})
		if a.status != http.StatusAccepted {
			p.t.Fatalf("disk %s: %d %s", id, a.status, show(a.body))
		}
		p.settle(a)
	} else if d["osType"] != nil { // in Azure a machine that is made of a disk says what is on it
		p.settle(p.do("PATCH", target, map[string]any{"properties": map[string]any{"osType": d["osType"]}}))
	}
	return map[string]any{"lun": d["lun"], "createOption": "Attach", "caching": d["caching"], "managedDisk": map[string]any{"id": id}}
}

// whole is a body as text.
func whole(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
