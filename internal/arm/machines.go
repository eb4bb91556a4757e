package arm

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"tintype"
	"tintype/internal/arm/wire"
)

// Machines is what the handlers of virtual machines ask of the domain; *compute.Service is the real one.
type Machines interface {
	PutMachine(ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest, m tintype.MachineRequest, patch bool) (
		op tintype.Operation, created bool, err error)
	DeleteMachine(ctx context.Context, id tintype.ResourceID) (op tintype.Operation, ok bool, err error)
	Generalize(ctx context.Context, id tintype.ResourceID) error
	MachineDisks(ctx context.Context, m tintype.Machine) (map[string]tintype.Volume, error)
}

type machineHandler struct{ ComputeOptions }

func machineType(opt ComputeOptions) Type {
	h := machineHandler{opt}
	const kind = tintype.KindMachine
	path := InGroup(kind.Type() + "/{name}")
	return Type{
		Namespace: computeNamespace, Name: kind.Segment(), Versions: machineVersions(), Zoned: true,
		Operations: []Operation{
			{Method: http.MethodGet, Path: path, Do: h.get},
			{Method: http.MethodGet, Path: path + "/instanceView", Do: h.view},
			{Method: http.MethodPut, Path: path, Do: h.put},
			{Method: http.MethodPatch, Path: path, Do: h.put},
			{Method: http.MethodDelete, Path: path, Do: h.delete},
			{Method: http.MethodPost, Path: path + "/generalize", Do: h.generalize},
			{Method: http.MethodGet, Path: InGroup(kind.Type()), Do: h.list},
			{Method: http.MethodGet, Path: InSubscription(kind.Type()), Do: h.list},
		},
	}
}

func (h machineHandler) id(c *Call) tintype.ResourceID {
	return tintype.ResourceID{Subscription: c.subscription(), Group: c.ID.Group, Kind: tintype.KindMachine, Name: c.ID.Name}
}

// put creates or updates a machine's record; PATCH only changes what the body has.
func (h machineHandler) put(ctx context.Context, c *Call) (Response, error) {
	var body wire.Machine
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	want, err := decodeMachine(body)
	if err != nil {
		return Response{}, err
	}
	if c.APIVersion >= machineETagSince {
		want.IfMatch, want.IfNoneMatch = c.Header.Get("If-Match"), c.Header.Get("If-None-Match")
	}
	if err := h.mayAttach(c, want); err != nil {
		return Response{}, err
	}
	op, created, err := h.PutMachine(ctx, h.id(c), tintype.CompanionRequest{Location: body.Location, Tags: body.Tags}, want, c.Method == http.MethodPatch)
	if err != nil {
		return Response{}, err
	}
	answer, err := h.encode(ctx, *op.Companion, c.APIVersion)
	if err != nil {
		return Response{}, err
	}
	status := http.StatusOK
	answer.Properties.ProvisioningState = string(tintype.StateUpdating)
	if created {
		status, answer.Properties.ProvisioningState = http.StatusCreated, "Creating"
	}
	return tagged(c, c.created(status, op, answer), *op.Companion), nil
}

// mayAttach requires, as Azure does, that the caller may change the disks that the machine is to have.
func (h machineHandler) mayAttach(c *Call, want tintype.MachineRequest) error {
	all := want.Data
	if want.OS != nil {
		all = append([]tintype.MachineDiskRequest{*want.OS}, all...)
	}
	for _, d := range all {
		if d.DiskID == "" {
			continue // refused by the domain
		}
		if err := pointHandler(h).linkedTo(c, tintype.KindDisk.Type()+"/write", d.DiskID); err != nil {
			return err
		}
	}
	return nil
}

func (h machineHandler) get(ctx context.Context, c *Call) (Response, error) {
	found, err := h.GetCompanion(ctx, h.id(c))
	if err != nil {
		return Response{}, err
	}
	body, err := h.encode(ctx, found, c.APIVersion)
	if err != nil {
		return Response{}, err
	}
	if strings.EqualFold(c.Query.Get("$expand"), "instanceView") {
		body.Properties.InstanceView, err = h.viewOf(ctx, found)
	}
	return tagged(c, JSON(http.StatusOK, body), found), err
}

// machineETagSince is the first api-version at which a machine has an ETag.
const machineETagSince = "2023-09-01"

// tagged adds the machine's ETag to an answer.
func tagged(c *Call, rs Response, found tintype.Companion) Response {
	if c.APIVersion >= machineETagSince {
		if rs.Header == nil {
			rs.Header = http.Header{}
		}
		rs.Header.Set("ETag", found.Machine.ETag())
	}
	return rs
}

func (h machineHandler) view(ctx context.Context, c *Call) (Response, error) {
	found, err := h.GetCompanion(ctx, h.id(c))
	if err != nil {
		return Response{}, err
	}
	view, err := h.viewOf(ctx, found)
	return JSON(http.StatusOK, view), err
}

func (h machineHandler) delete(ctx context.Context, c *Call) (Response, error) {
	op, ok, err := h.DeleteMachine(ctx, h.id(c))
	return c.deleted(op, ok, err)
}

// generalize notes that the machine's disks hold nothing of their own, which nobody here can see: it lets images be made of them.
func (h machineHandler) generalize(ctx context.Context, c *Call) (Response, error) {
	if err := h.Generalize(ctx, h.id(c)); err != nil {
		return Response{}, err
	}
	return Empty(http.StatusOK), nil
}

func (h machineHandler) list(ctx context.Context, c *Call) (Response, error) {
	var failed error
	rs, err := listCompanions(ctx, c, h.ComputeOptions, tintype.KindMachine, func(found tintype.Companion) wire.Machine {
		w, err := h.encode(ctx, found, c.APIVersion)
		if err != nil {
			failed = err
		}
		return w
	})
	if err == nil {
		err = failed
	}
	return rs, err
}

// viewOf tells what is known of a machine that runs elsewhere, or not: whether a host has one of its disks attached.
func (h machineHandler) viewOf(ctx context.Context, c tintype.Companion) (*wire.MachineView, error) {
	disks, err := h.MachineDisks(ctx, *c.Machine)
	if err != nil {
		return nil, err
	}
	made := wire.Status{Code: "ProvisioningState/succeeded", Level: "Info", DisplayStatus: "Provisioning succeeded", Time: formatTime(c.Created)}
	power := wire.Status{Code: "PowerState/deallocated", Level: "Info", DisplayStatus: "VM deallocated"}
	view := &wire.MachineView{}
	for _, d := range c.Machine.Disks() {
		if disks[d.ID.Key()].HeldFor(c.ID.String()) {
			power.Code, power.DisplayStatus = "PowerState/running", "VM running"
		}
		view.Disks = append(view.Disks, wire.DiskView{Name: d.ID.Name, Statuses: []wire.Status{made}})
	}
	view.Statuses = []wire.Status{made, power}
	if c.Machine.Generalized {
		state := wire.Status{Code: "OSState/generalized", Level: "Info", DisplayStatus: "VM generalized"}
		view.Statuses = []wire.Status{made, state, power}
	}
	return view, nil
}

// keptProfiles are the parts of a machine that this server keeps and shows, and does nothing with.
func keptProfiles(p *wire.MachineProperties) map[string]*json.RawMessage {
	return map[string]*json.RawMessage{
		"osProfile": &p.OSProfile, "networkProfile": &p.NetworkProfile, "diagnosticsProfile": &p.DiagnosticsProfile,
		"securityProfile": &p.SecurityProfile, "additionalCapabilities": &p.Additional, "licenseType": &p.LicenseType,
	}
}

// decodeMachine reads what a PUT or PATCH asks for.
func decodeMachine(w wire.Machine) (tintype.MachineRequest, error) {
	want := tintype.MachineRequest{Zones: w.Zones}
	p := w.Properties
	if p == nil {
		return want, nil
	}
	if p.HardwareProfile != nil {
		want.Size = p.HardwareProfile.VMSize
	}
	for name, profile := range keptProfiles(p) {
		if len(*profile) == 0 || string(*profile) == "null" {
			continue
		}
		if want.Kept == nil {
			want.Kept = map[string]json.RawMessage{}
		}
		text, err := withoutSecrets(*profile)
		if err != nil {
			return want, err
		}
		want.Kept[name] = text
	}
	if s := p.StorageProfile; s != nil {
		if s.OSDisk != nil {
			d := decodeMachineDisk(*s.OSDisk)
			want.OS = &d
			want.Image = d.DiskID == "" && len(s.ImageReference) > 0
		}
		if s.DataDisks != nil {
			want.Data = []tintype.MachineDiskRequest{}
		}
		for _, d := range s.DataDisks {
			want.Data = append(want.Data, decodeMachineDisk(d))
		}
	}
	return want, nil
}

func decodeMachineDisk(w wire.MachineDisk) tintype.MachineDiskRequest {
	d := tintype.MachineDiskRequest{
		Option: w.CreateOption, Caching: w.Caching, DeleteOption: w.DeleteOption, LUN: w.LUN, Detach: w.ToBeDetached != nil && *w.ToBeDetached,
	}
	if w.ManagedDisk != nil {
		d.DiskID = w.ManagedDisk.ID
	}
	return d
}

// withoutSecrets leaves out what is meant for the guest alone.
func withoutSecrets(profile json.RawMessage) (json.RawMessage, error) {
	var v any
	if err := json.Unmarshal(profile, &v); err != nil {
		return nil, invalidContent(describeJSON(err))
	}
	if m, ok := v.(map[string]any); ok {
		for _, secret := range []string{"adminPassword", "customData"} {
			delete(m, secret)
		}
	}
	return json.Marshal(v)
}

func (h machineHandler) encode(ctx context.Context, c tintype.Companion, version string) (wire.Machine, error) {
	m := *c.Machine
	w := wire.Machine{
		Name: c.ID.Name, ID: c.ID.String(), Type: c.ID.Kind.Type(), Location: c.Location, Tags: c.Tags, Zones: m.Zones,
		Properties: &wire.MachineProperties{
			HardwareProfile: &wire.HardwareProfile{VMSize: m.Size}, ProvisioningState: string(tintype.StateSucceeded), VMID: guid(m.VMID),
			StorageProfile: &wire.StorageProfile{DataDisks: []wire.MachineDisk{}}, TimeCreated: formatTime(c.Created),
		},
	}
	if version >= machineETagSince {
		w.ETag = m.ETag()
	}
	for name, profile := range keptProfiles(w.Properties) {
		*profile = m.Kept[name]
	}
	disks, err := h.MachineDisks(ctx, m)
	if err != nil {
		return w, err
	}
	place := func(d tintype.MachineDisk) wire.MachineDisk {
		v := disks[d.ID.Key()]
		w := wire.MachineDisk{
			Name: d.ID.Name, CreateOption: "Attach", Caching: d.Caching, DeleteOption: "Detach", DiskSizeGB: v.SizeGB(),
			ManagedDisk: &wire.ManagedDisk{ID: d.ID.String(), StorageAccountType: string(v.SKU)},
		}
		if d.Delete {
			w.DeleteOption = "Delete"
		}
		return w
	}
	if m.OS != nil {
		os := place(*m.OS)
		os.OSType = disks[m.OS.ID.Key()].Settings.OSType
		w.Properties.StorageProfile.OSDisk = &os
	}
	for _, d := range m.Data {
		data, lun, stays := place(d), d.LUN, false
		data.LUN, data.ToBeDetached = &lun, &stays
		w.Properties.StorageProfile.DataDisks = append(w.Properties.StorageProfile.DataDisks, data)
	}
	return w, nil
}
