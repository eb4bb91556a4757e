package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/arm/wire"
)

func versioned(path string) string { return path + "?api-version=" + apiVersion }

// Snapshot describes a snapshot at the other server.
func (c *Client) Snapshot(ctx context.Context, id tintype.ResourceID) (tintype.Volume, error) {
	a, err := c.ask(ctx, http.MethodGet, versioned(id.String()), nil)
	if err == nil {
		err = refusalOf("to show "+id.String(), a)
	}
	if err != nil {
		return tintype.Volume{}, err
	}
	var w wire.Volume
	if err := json.Unmarshal(a.body, &w); err != nil || w.Properties == nil {
		return tintype.Volume{}, fmt.Errorf("the other server's description of %s makes no sense", id)
	}
	v, err := decode(id, w)
	if err != nil {
		return v, fmt.Errorf("the other server's description of %s: %w", id, err)
	}
	return v, nil
}

// decode takes over what a copy needs to know of its source, and bounds it.
func decode(id tintype.ResourceID, w wire.Volume) (v tintype.Volume, err error) {
	p := w.Properties
	v = tintype.Volume{
		ID: id, Location: w.Location, State: tintype.Unattached, Provisioning: tintype.ProvisioningState(p.ProvisioningState),
		Incremental: p.Incremental != nil && *p.Incremental,
	}
	for _, x := range []struct {
		text string
		to   *uuid.UUID
	}{{p.UniqueID, &v.UniqueID}, {p.FamilyID, &v.Family}} {
		if x.text == "" {
			continue
		}
		if *x.to, err = uuid.Parse(x.text); err != nil {
			return v, err
		}
	}
	if v.Created, err = time.Parse(time.RFC3339Nano, p.TimeCreated); err != nil {
		return v, err
	}
	if p.DiskSizeBytes == nil || *p.DiskSizeBytes <= 0 || *p.DiskSizeBytes > tintype.MaxAdjustableGB*tintype.GiB || *p.DiskSizeBytes%512 != 0 {
		return v, errors.New("it has no size")
	}
	v.Size = *p.DiskSizeBytes
	if p.CreationData != nil && p.CreationData.LogicalSectorSize != nil {
		v.Creation.SectorSize = *p.CreationData.LogicalSectorSize
	}
	if p.CompletionPercent != nil && *p.CompletionPercent < 100 {
		v.Copy = &tintype.BackgroundCopy{}
	}
	s := &v.Settings
	s.OSType, s.HyperVGeneration, s.SupportsHibernation = p.OSType, p.HyperVGeneration, p.SupportsHibernation
	if x := p.PurchasePlan; x != nil {
		s.PurchasePlan = &tintype.PurchasePlan{Name: x.Name, Publisher: x.Publisher, Product: x.Product, PromotionCode: x.PromotionCode}
	}
	if x := p.Capabilities; x != nil {
		s.Capabilities = &tintype.Capabilities{
			DiskControllerTypes: x.DiskControllerTypes, AcceleratedNetwork: x.AcceleratedNetwork, Architecture: x.Architecture,
			SupportedSecurityOption: x.SupportedSecurityOption,
		}
	}
	if x := p.SecurityProfile; x != nil && x.SecureVMDiskEncryptionSetID == "" {
		s.SecurityProfile = &tintype.SecurityProfile{Type: x.SecurityType}
	}
	return v, tintype.Desired{
		OSType: s.OSType, HyperVGeneration: s.HyperVGeneration, PurchasePlan: s.PurchasePlan, Capabilities: s.Capabilities, SecurityProfile: s.SecurityProfile,
	}.CheckEnums()
}

// Grant asks for a signed URL of the snapshot's bytes.
func (c *Client) Grant(ctx context.Context, id tintype.ResourceID, d time.Duration) (string, error) {
	body := map[string]any{"access": "Read", "durationInSeconds": int64(d / time.Second)}
	a, err := c.ask(ctx, http.MethodPost, versioned(id.String()+"/beginGetAccess"), body)
	if err == nil {
		err = refusalOf("access to "+id.String(), a)
	}
	if err != nil {
		return "", err
	}
	out, err := c.poll(ctx, a.header.Get("Azure-AsyncOperation"))
	if err != nil {
		return "", err
	}
	if out.Properties.Output.AccessSAS == "" {
		return "", errors.New("the other server gave access without a URL")
	}
	return out.Properties.Output.AccessSAS, nil
}

// Release ends the access to the snapshot; where there is none, that is no error.
func (c *Client) Release(ctx context.Context, id tintype.ResourceID) error {
	a, err := c.ask(ctx, http.MethodPost, versioned(id.String()+"/endGetAccess"), nil)
	if err == nil {
		err = refusalOf("the end of access to "+id.String(), a)
	}
	if err == nil {
		_, err = c.poll(ctx, a.header.Get("Azure-AsyncOperation"))
	}
	return err
}

type operation struct {
	Status     string
	Properties struct {
		Output struct {
			AccessSAS string `json:"accessSAS"`
		}
	}
}

// longestPause bounds the pauses between two looks at an operation, of which there are at most maxLooks.
const (
	longestPause = 2 * time.Second
	maxLooks     = 60
)

// poll waits for the end of an operation. That it may not be looked at says nothing of what became of it: only its failure is a refusal.
func (c *Client) poll(ctx context.Context, address string) (operation, error) {
	pause := 20 * time.Millisecond
	for range maxLooks {
		a, err := c.ask(ctx, http.MethodGet, address, nil)
		if err == nil {
			err = refusalOf("to tell of its operation", a)
		}
		if err != nil {
			return operation{}, fmt.Errorf("the outcome of the other server's operation is not known: %v", err)
		}
		var op operation
		if err := json.Unmarshal(a.body, &op); err != nil {
			return op, errors.New("the other server's operation makes no sense")
		}
		switch op.Status {
		case "Succeeded":
			return op, nil
		case "Failed", "Canceled":
			return op, refused(tintype.KindConflict, "an operation", a)
		}
		select {
		case <-ctx.Done():
			return op, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
	return operation{}, errors.New("the other server's operation does not end")
}
