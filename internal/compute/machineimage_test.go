package compute

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"tintype"
	"tintype/internal/block"
)

// ofImage asks for a machine of an image of the rig's, with an empty disk besides.
func ofImage(name string) tintype.MachineRequest {
	return tintype.MachineRequest{
		Size: "Standard_D2s_v3", Image: &tintype.ImageReference{ID: imageID(name).String()},
		OS:    &tintype.MachineDiskRequest{Option: "fromImage", DeleteOption: "Delete"},
		Data:  []tintype.MachineDiskRequest{{Option: "empty", LUN: ptr(0), SizeGB: 4, Storage: "standardssd_lrs"}},
		Login: &tintype.Login{User: "me", NoPassword: true, Keys: true},
		Kept:  map[string]json.RawMessage{"osProfile": json.RawMessage(`{"adminUsername":"me"}`)},
	}
}

// twoDisks makes an image of a system with a data disk at LUN 3.
func (r *rig) twoDisks(name, state string) {
	r.t.Helper()
	a, b := r.put(diskID("src-a"), empty(2)), r.put(diskID("src-b"), empty(1))
	r.store.put(a.Store, 0, "system")
	r.store.put(b.Store, 0, "data")
	os := osOf(ofDisk("src-a"))
	os.OSState = state
	r.image(name, tintype.ImageRequest{Generation: "V2", OS: os, Data: []tintype.ImageDiskRequest{dataOf(3, ofDisk("src-b"))}})
}

// TestMachineOfImage makes a machine of an image and an empty disk, says the same again, as a template does, adds a disk, and takes it apart.
func TestMachineOfImage(t *testing.T) {
	r := newRig(t)
	r.group()
	r.twoDisks("i", "Generalized")
	tags := tintype.CompanionRequest{Location: "westus2", Tags: map[string]string{"k": "v"}}
	want := ofImage("i")
	if _, created, err := r.PutMachine(t.Context(), machineID("vm"), tags, want, false); err != nil || !created {
		t.Fatal(created, err)
	}
	r.restart()
	c, err := r.GetCompanion(t.Context(), machineID("vm"))
	if err != nil {
		t.Fatal(err)
	}
	m := *c.Machine
	if len(m.Data) != 2 || m.Image != want.Image.ID || !strings.Contains(string(m.Kept["osProfile"]), `"computerName":"vm"`) {
		t.Fatalf("%+v", m)
	}
	for i, x := range []struct {
		at                             tintype.MachineDisk
		name, option, content, caching string
		gb                             int64
		sku                            tintype.SKU
	}{
		{*m.OS, `^vm_OsDisk_1_[0-9a-f]{32}$`, "FromImage", "system", "ReadWrite", 2, tintype.PremiumLRS},
		{m.Data[0], `^vm_disk2_[0-9a-f]{32}$`, "Empty", "", "None", 4, tintype.StandardSSDLRS},
		{m.Data[1], `^vm_lun_3_2_[0-9a-f]{32}$`, "FromImage", "data", "None", 1, tintype.PremiumLRS},
	} {
		v := r.get(x.at.ID)
		if !regexp.MustCompile(x.name).MatchString(v.ID.Name) || !strings.HasSuffix(v.ID.Name, strings.ReplaceAll(v.UniqueID.String(), "-", "")) ||
			x.at.Option != x.option || x.at.Caching != x.caching || v.SizeGB() != x.gb || v.SKU != x.sku || v.Tags["k"] != "v" ||
			v.Provisioning != tintype.StateSucceeded || v.Machine != c.ID.String() || r.store.content(t, v.Store)[0] != x.content {
			t.Errorf("%d: %+v, %+v", i, x.at, v)
		}
	}
	if v := r.get(m.OS.ID); v.Settings.OSType != "Linux" || v.Settings.HyperVGeneration != "V2" || v.Creation.Option != tintype.CreateFromImage {
		t.Errorf("the system's disk: %+v", v)
	}

	want.Data = append(want.Data, tintype.MachineDiskRequest{Option: "FromImage", LUN: ptr(3), DeleteOption: "Delete"})
	if _, created, err := r.PutMachine(t.Context(), machineID("vm"), tags, want, false); err != nil || created {
		t.Fatal(created, err)
	}
	want.Data = append(want.Data, tintype.MachineDiskRequest{Option: "Empty", LUN: ptr(5), SizeGB: 1, Name: "extra"})
	if _, _, err := r.PutMachine(t.Context(), machineID("vm"), tags, tintype.MachineRequest{Data: want.Data}, true); err != nil {
		t.Fatal(err)
	}
	again, err := r.GetCompanion(t.Context(), machineID("vm"))
	if err != nil || again.Machine.OS.ID != m.OS.ID || len(again.Machine.Data) != 3 || again.Machine.Data[1].ID != m.Data[1].ID || again.Machine.Data[2].ID.Name != "extra" {
		t.Fatalf("%v %+v", err, again.Machine)
	}
	for i, x := range []struct {
		code string
		want tintype.MachineRequest
	}{
		{"PropertyChangeNotAllowed", tintype.MachineRequest{Image: &tintype.ImageReference{ID: imageID("other").String()}}},
		{"PropertyChangeNotAllowed", tintype.MachineRequest{OS: &tintype.MachineDiskRequest{Option: "FromImage", Name: "other"}}},
		{"PropertyChangeNotAllowed", tintype.MachineRequest{OS: &tintype.MachineDiskRequest{Option: "Attach"}}},
		{"PropertyChangeNotAllowed", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{{Option: "FromImage", LUN: ptr(0)}}}},
		{"PropertyChangeNotAllowed", tintype.MachineRequest{Login: &tintype.Login{User: "you"}}},
		{"PropertyChangeNotAllowed", tintype.MachineRequest{Zones: []string{"1"}}},
		{"ResizeDiskError", tintype.MachineRequest{OS: &tintype.MachineDiskRequest{Option: "FromImage", SizeGB: 3}}},
		{"InvalidParameter", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{{Option: "FromImage", LUN: ptr(9)}}}},
		{"OperationNotAllowed", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{{Option: "Empty", LUN: ptr(9), SizeGB: 1, Name: "src-a"}}}},
	} {
		_, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{}, x.want, true)
		if e := refused(t, err, x.code); e.Code == "PropertyChangeNotAllowed" && e.Kind != tintype.KindConflict {
			t.Errorf("%d: %+v", i, e)
		}
	}

	lock := tintype.Lock{Subscription: testSub, Scope: m.OS.ID.String(), Name: "keep", Level: tintype.CanNotDelete}
	if _, err := r.PutLock(t.Context(), lock); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.DeleteMachine(t.Context(), machineID("vm"))
	refused(t, err, "ScopeLocked")
	if _, err := r.DeleteLock(t.Context(), lock.Scope, "keep"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := r.DeleteMachine(t.Context(), machineID("vm")); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for id, stays := range map[tintype.ResourceID]bool{m.OS.ID: false, m.Data[0].ID: true, m.Data[1].ID: false, diskID("extra"): true} {
		if _, err := r.Get(t.Context(), id); (err == nil) != stays {
			t.Errorf("%s: %v", id.Name, err)
		}
	}
	r.wholeStore()
}

// TestMachineKeepsWhatIsNotSaid changes parts of a machine's places and of its osProfile: the rest stays, and it can be written again.
func TestMachineKeepsWhatIsNotSaid(t *testing.T) {
	r := newRig(t)
	r.group()
	r.twoDisks("i", "Generalized")
	want := ofImage("i")
	want.Login.Computer = "host"
	want.Kept = map[string]json.RawMessage{"osProfile": json.RawMessage(`{"AdminUserName":"me","adminUsername":"me","ComputerName":"host",` +
		`"LinuxConfiguration":{"disablePasswordAuthentication":true}}`)}
	want.Data[0].DeleteOption, want.Data[0].Caching = "Delete", "ReadOnly"
	r.machine("vm", want)
	machine := func() tintype.Machine {
		t.Helper()
		c, err := r.GetCompanion(t.Context(), machineID("vm"))
		if err != nil {
			t.Fatal(err)
		}
		return *c.Machine
	}
	os := machine().OS.ID.String()
	for i, x := range []struct {
		want       tintype.MachineRequest
		os, caches string
		goes       bool
	}{
		{tintype.MachineRequest{OS: &tintype.MachineDiskRequest{Caching: "None"}}, "None", "ReadOnly", true},
		{tintype.MachineRequest{OS: &tintype.MachineDiskRequest{DiskID: os, DeleteOption: "Delete"}}, "None", "ReadOnly", true},
		{tintype.MachineRequest{Data: []tintype.MachineDiskRequest{{LUN: ptr(0), Caching: "ReadWrite"}}}, "None", "ReadWrite", true},
		{tintype.MachineRequest{Data: []tintype.MachineDiskRequest{{LUN: ptr(0), DeleteOption: "Detach"}}}, "None", "ReadWrite", false},
	} {
		if _, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{}, x.want, true); err != nil {
			t.Fatal(i, err)
		}
		if m := machine(); m.OS.Caching != x.os || !m.OS.Delete || m.Data[0].Caching != x.caches || m.Data[0].Delete != x.goes {
			t.Errorf("%d: %+v, %+v", i, m.OS, m.Data[0])
		}
	}
	for i, x := range []struct {
		login   tintype.Login
		profile string
	}{
		{tintype.Login{}, `{"allowExtensionOperations":false,"linuxConfiguration":{"provisionVMAgent":false}}`},
		{tintype.Login{}, `{"ALLOWEXTENSIONOPERATIONS":null,"AdminUsername":null}`},
		{tintype.Login{User: "me", Computer: "host"}, `{"adminUsername":"me","AdminUSERName":"evil","COMPUTERNAME":"host"}`},
	} {
		change := tintype.MachineRequest{Login: &x.login, Kept: map[string]json.RawMessage{"osProfile": json.RawMessage(x.profile)}}
		if _, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{Location: "westus2"}, change, i == 0); err != nil {
			t.Fatal(i, err)
		}
		kept := string(machine().Kept["osProfile"])
		if got := strings.ToLower(kept); strings.Count(got, `"adminusername":"me"`) != 1 || strings.Contains(got, "evil") || strings.Count(got, `"computername":"host"`) != 1 ||
			!strings.Contains(got, `"allowextensionoperations":false`) || !strings.Contains(got, `"disablepasswordauthentication":true`) ||
			!strings.Contains(got, `"provisionvmagent":false`) || strings.Count(got, "linuxconfiguration") != 1 {
			t.Errorf("%d: %s", i, kept)
		}
	}
	for _, l := range []tintype.Login{{User: "you"}, {Computer: "other"}} {
		_, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{}, tintype.MachineRequest{Login: &l}, true)
		refused(t, err, "PropertyChangeNotAllowed")
	}
}

// TestTrustedLaunchOfImage gives the system's disk the machine's security type, also where the request does not name the disk.
func TestTrustedLaunchOfImage(t *testing.T) {
	r := newRig(t)
	r.group()
	r.twoDisks("i", "Generalized")
	for _, os := range []*tintype.MachineDiskRequest{nil, {Option: "FromImage"}} {
		want := ofImage("i")
		want.OS, want.Kept["securityProfile"] = os, json.RawMessage(`{"securityType":"trustedLaunch"}`)
		name := map[bool]string{true: "unsaid", false: "said"}[os == nil]
		r.machine(name, want)
		c, err := r.GetCompanion(t.Context(), machineID(name))
		if err != nil {
			t.Fatal(err)
		}
		if s := r.get(c.Machine.OS.ID).Settings.SecurityProfile; s == nil || s.Type != "TrustedLaunch" {
			t.Errorf("%s: %+v", name, s)
		}
		if s := r.get(c.Machine.Data[0].ID).Settings.SecurityProfile; s != nil {
			t.Errorf("%s: a data disk: %+v", name, s)
		}
	}
}

// TestMachineOfImageRefusals wants the reason of what can't be had, and nothing of it left.
func TestMachineOfImageRefusals(t *testing.T) {
	r := newRig(t)
	r.group()
	r.twoDisks("i", "Generalized")
	r.image("special", tintype.ImageRequest{OS: func() *tintype.ImageDiskRequest { o := osOf(ofDisk("src-a")); o.OSState = "Specialized"; return o }()})
	attached := dataDisk(0, "src-a")
	attached.LUN = nil
	for i, x := range []struct {
		code, target string
		change       func(*tintype.MachineRequest)
	}{
		{"PlatformImageNotFound", "imageReference", func(m *tintype.MachineRequest) { m.Image = &tintype.ImageReference{Platform: "p:o:s:v"} }},
		{"GalleryImageNotFound", "imageReference", func(m *tintype.MachineRequest) { m.Image = &tintype.ImageReference{Gallery: "g"} }},
		{"NotFound", "", func(m *tintype.MachineRequest) { m.Image.ID = imageID("none").String() }},
		{"InvalidParameter", "imageReference.id", func(m *tintype.MachineRequest) { m.Image.ID = diskID("src-a").String() }},
		{"InvalidParameter", "imageReference", func(m *tintype.MachineRequest) { m.Image, m.Login = nil, nil }},
		{"InvalidParameter", "osProfile", func(m *tintype.MachineRequest) { m.Login = nil }},
		{"InvalidParameter", "osProfile", func(m *tintype.MachineRequest) { m.Image.ID = imageID("special").String() }},
		{"InvalidParameter", "osProfile", func(m *tintype.MachineRequest) { m.Image, m.OS = nil, &attached }},
		{"InvalidParameter", "adminUsername", func(m *tintype.MachineRequest) { m.Login.User = "" }},
		{"InvalidParameter", "adminPassword", func(m *tintype.MachineRequest) { m.Login.NoPassword = false }},
		{"InvalidParameter", "linuxConfiguration", func(m *tintype.MachineRequest) { m.Login.Keys = false }},
		{"InvalidParameter", "osDisk", func(m *tintype.MachineRequest) { m.OS = &attached }},
		{"InvalidParameter", "osDisk.createOption", func(m *tintype.MachineRequest) { m.OS.Option = "Empty" }},
		{"InvalidParameter", "osDisk.createOption", func(m *tintype.MachineRequest) { m.OS.Option = "Magic" }},
		{"InvalidParameter", "osDisk.managedDisk.id", func(m *tintype.MachineRequest) { m.OS.Option = "Attach" }},
		{"InvalidParameter", "", func(m *tintype.MachineRequest) { m.OS.Name = "a/b" }},
		{"InvalidParameter", "sku", func(m *tintype.MachineRequest) { m.OS.Storage = "Gold_LRS" }},
		{"InvalidParameter", "diskSizeGB", func(m *tintype.MachineRequest) { m.OS.SizeGB = 1 }},
		{"InvalidParameter", "diskSizeGB", func(m *tintype.MachineRequest) { m.Data[0].SizeGB = -1 }},
		{"InvalidParameter", "dataDisk.diskSizeGB", func(m *tintype.MachineRequest) { m.Data[0].SizeGB = 0 }},
		{"OperationNotAllowed", "", func(m *tintype.MachineRequest) { m.Data[0].LUN = ptr(3) }},
		{"OperationNotAllowed", "", func(m *tintype.MachineRequest) { m.OS.Name = "src-a" }},
		{"NotFound", "", func(m *tintype.MachineRequest) {
			m.OS.SetID = tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindEncryptionSet, Name: "none"}.String()
		}},
	} {
		want := ofImage("i")
		x.change(&want)
		_, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{Location: "westus2"}, want, false)
		if e := refused(t, err, x.code); x.target != "" && e.Target != x.target {
			t.Errorf("%d: target %q: %s", i, e.Target, e.Message)
		}
	}
	twice := ofImage("i")
	twice.OS.Name, twice.Data[0].Name = "same", "same"
	_, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{Location: "westus2"}, twice, false)
	refused(t, err, "InvalidParameter")
	r.store.refuse = block.ErrNoSpace
	_, _, err = r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{Location: "westus2"}, ofImage("i"), false)
	r.store.refuse = nil
	if err == nil {
		t.Error("a full store made a machine")
	}
	if _, err := r.GetCompanion(t.Context(), machineID("vm")); err == nil {
		t.Error("a refusal left a machine")
	}
	r.wholeStore()

	special := ofImage("special")
	special.Login, special.Kept = nil, nil
	r.machine("vm", special)
	long := ofImage("i")
	r.machine(strings.Repeat("n", 64), long)
	c, err := r.GetCompanion(t.Context(), machineID(strings.Repeat("n", 64)))
	if err != nil || len(c.Machine.OS.ID.Name) != 80 {
		t.Errorf("%v: %q", err, c.Machine.OS.ID.Name)
	}
}

// TestMachineOfImageCrash fails at every step of making a machine of an image: all of it is there, or nothing.
func TestMachineOfImageCrash(t *testing.T) {
	crashes(t, func(r *rig) { r.twoDisks("i", "Generalized") }, func(r *rig) error {
		_, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{Location: "westus2"}, ofImage("i"), false)
		return err
	}, func(r *rig, acknowledged bool) {
		page, err := r.List(t.Context(), testSub, "g", tintype.KindDisk, "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := r.GetCompanion(t.Context(), machineID("vm"))
		if acknowledged && err != nil {
			t.Errorf("acknowledged and lost: %v", err)
		}
		want := 2
		if err == nil {
			want = 5
			for _, d := range c.Machine.Disks() {
				if v := r.get(d.ID); v.Machine != c.ID.String() {
					t.Errorf("%+v", v)
				}
			}
		}
		if len(page.Volumes) != want {
			t.Errorf("there are %d disks, not %d", len(page.Volumes), want)
		}
	})
}

// TestMachineSizes has a new machine's disk grow, and says where a size is changed otherwise.
func TestMachineSizes(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("a"), empty(2))
	put := func(name string, gb int64) error {
		d := dataDisk(0, "a")
		d.SizeGB = gb
		_, _, err := r.PutMachine(t.Context(), machineID(name), tintype.CompanionRequest{Location: "westus2"}, tintype.MachineRequest{Data: []tintype.MachineDiskRequest{d}}, false)
		return err
	}
	refused(t, put("small", 1), "InvalidParameter")
	if v := r.get(diskID("a")); v.Machine != "" || v.SizeGB() != 2 {
		t.Errorf("the refusal left %+v", v)
	}
	if err := put("vm", 3); err != nil {
		t.Fatal(err)
	}
	if err := r.runAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := r.get(diskID("a")); v.Machine == "" || v.SizeGB() != 3 || r.store.volumes[v.Store].size != 3*tintype.GiB {
		t.Errorf("%+v", v)
	}
	if err := put("vm", 3); err != nil {
		t.Error(err)
	}
	refused(t, put("vm", 4), "ResizeDiskError")
	r.wholeStore()
}
