package arm

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"tintype"
	"tintype/internal/arm/wire"
)

// Machines is what the handlers of virtual machines ask of the domain; *compute.Service is the real one.
type Machines interface {
	PutMachine(ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest, m tintype.MachineRequest, patch bool) (
		op tintype.Operation, created bool, err error)
	Power(ctx context.Context, id tintype.ResourceID, action tintype.PowerAction) (tintype.Operation, error)
	DeleteMachine(ctx context.Context, id tintype.ResourceID) (op tintype.Operation, ok bool, err error)
	Generalize(ctx context.Context, id tintype.ResourceID) error
	MachineDisks(ctx context.Context, m tintype.Machine) (map[string]tintype.Volume, error)
}

type machineHandler struct{ ComputeOptions }

func machineType(opt ComputeOptions) Type {
	h := machineHandler{opt}
	const kind = tintype.KindMachine
	path := InGroup(kind.Type() + "/{name}")
	t := Type{
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
	for _, action := range []tintype.PowerAction{tintype.ActionStart, tintype.ActionPowerOff, tintype.ActionRestart, tintype.ActionDeallocate} {
		t.Operations = append(t.Operations, Operation{
			Method: http.MethodPost, Path: path + "/" + string(action),
			Do: func(ctx context.Context, c *Call) (Response, error) { return h.power(ctx, c, action) },
		})
	}
	return t
}

// power answers at once: the operation ends when the machine's host has lost its disks.
func (h machineHandler) power(ctx context.Context, c *Call, action tintype.PowerAction) (Response, error) {
	if strings.EqualFold(c.Query.Get("hibernate"), "true") {
		return Response{}, tintype.NotAllowed("The VM '%s' does not have the hibernation capability enabled.", c.ID.Name)
	}
	op, err := h.Power(ctx, h.id(c), action)
	if err != nil {
		return Response{}, err
	}
	return c.Accepted(machineOperations, op.Location, op.ID.String(), nil), nil
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
	if err := h.mayAttach(ctx, c, want); err != nil {
		return Response{}, err
	}
	want.Unnamed = h.mayMake(c)
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

// mayMake refuses the disks that get their names from the server alone, those that an image brings among them: roles on a disk of any name
// don't let make them, those on the group do.
func (h machineHandler) mayMake(c *Call) *tintype.Error {
	var refusal *Error
	if errors.As(pointHandler(h).linkedTo(c, tintype.KindDisk.Type()+"/write", c.container()), &refusal) {
		return &tintype.Error{Kind: tintype.KindForbidden, Code: refusal.Code, Message: refusal.Message}
	}
	return nil
}

// mayAttach requires, as Azure does, that the caller may change the disks that the request names, or make them, and may see the image and the
// encryption sets that it names.
func (h machineHandler) mayAttach(ctx context.Context, c *Call, want tintype.MachineRequest) error {
	all := want.Data
	if want.OS != nil {
		all = append([]tintype.MachineDiskRequest{*want.OS}, all...)
	}
	var links []link
	if want.Image != nil {
		links = append(links, link{want.Image.ID, tintype.KindImage, "/read"})
	}
	for _, d := range all {
		id := d.DiskID
		if id == "" && d.Name != "" {
			made := h.id(c)
			made.Kind, made.Name = tintype.KindDisk, d.Name
			id = made.String()
			if err := c.comes(ctx, id); err != nil {
				return err
			}
		}
		links = append(links, link{id, tintype.KindDisk, "/write"}, link{d.SetID, tintype.KindEncryptionSet, "/read"})
		if d.Security != nil {
			links = append(links, link{d.Security.EncryptionSetID, tintype.KindEncryptionSet, "/read"})
		}
	}
	for _, l := range links {
		if id, ok := tintype.ParseResourceID(l.id); !ok || id.Kind != l.kind {
			continue // nothing, or refused by the domain
		}
		if err := pointHandler(h).linkedTo(c, l.kind.Type()+l.verb, l.id); err != nil {
			return err
		}
	}
	return nil
}

// link is a resource that a request names, and what its caller must be allowed there.
type link struct {
	id   string
	kind tintype.Kind
	verb string
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
		body.Properties.InstanceView = machineView(found)
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
	return JSON(http.StatusOK, machineView(found)), nil
}

// delete takes what the deletion of the disks takes that go with the machine, besides its own.
func (h machineHandler) delete(ctx context.Context, c *Call) (Response, error) {
	found, err := h.GetCompanion(ctx, h.id(c))
	if err == nil {
		for _, d := range found.Machine.Disks() {
			if !d.Delete {
				continue
			}
			if err := pointHandler(h).linkedTo(c, tintype.KindDisk.Type()+"/delete", d.ID.String()); err != nil {
				return Response{}, err
			}
		}
	}
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

// machineView tells what is known of a machine that runs elsewhere: whether it may.
func machineView(c tintype.Companion) *wire.MachineView {
	made := wire.Status{Code: "ProvisioningState/succeeded", Level: "Info", DisplayStatus: "Provisioning succeeded", Time: formatTime(c.Created)}
	state := c.Machine.Power.String()
	power := wire.Status{Code: "PowerState/" + state, Level: "Info", DisplayStatus: "VM " + state}
	view := &wire.MachineView{}
	for _, d := range c.Machine.Disks() {
		view.Disks = append(view.Disks, wire.DiskView{Name: d.ID.Name, Statuses: []wire.Status{made}})
	}
	view.Statuses = []wire.Status{made, power}
	if c.Machine.Generalized {
		state := wire.Status{Code: "OSState/generalized", Level: "Info", DisplayStatus: "VM generalized"}
		view.Statuses = []wire.Status{made, state, power}
	}
	return view
}
