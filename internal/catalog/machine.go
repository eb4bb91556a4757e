package catalog

import (
	"cmp"
	"encoding/json"
	"fmt"

	"tintype"
)

// machineDoc is a machine as the catalog keeps it. Fields are only ever added.
type machineDoc struct {
	VMID        string                     `json:"vmId"`
	Generalized bool                       `json:"generalized,omitempty"`
	Size        string                     `json:"size,omitempty"`
	Zones       []string                   `json:"zones,omitempty"`
	OS          *machineDiskDoc            `json:"os,omitempty"`
	Data        []machineDiskDoc           `json:"data,omitempty"`
	Kept        map[string]json.RawMessage `json:"kept,omitempty"`

	Revision int64  `json:"revision,omitempty"`
	Image    string `json:"image,omitempty"`
	Power    string `json:"power,omitempty"`
}

type machineDiskDoc struct {
	ID      string `json:"id"`
	LUN     int    `json:"lun"`
	Caching string `json:"caching,omitempty"`
	Delete  bool   `json:"delete,omitempty"`
	Option  string `json:"option,omitempty"`
}

func encodeMachine(m *tintype.Machine) *machineDoc {
	if m == nil {
		return nil
	}
	d := machineDoc{VMID: text(m.VMID), Generalized: m.Generalized, Size: m.Size, Zones: m.Zones, Kept: m.Kept, Revision: m.Revision, Image: m.Image, Power: string(m.Power)}
	place := func(k tintype.MachineDisk) machineDiskDoc {
		return machineDiskDoc{ID: k.ID.String(), LUN: k.LUN, Caching: k.Caching, Delete: k.Delete, Option: k.Option}
	}
	if m.OS != nil {
		os := place(*m.OS)
		d.OS = &os
	}
	for _, k := range m.Data {
		d.Data = append(d.Data, place(k))
	}
	return &d
}

func decodeMachine(d *machineDoc) (*tintype.Machine, error) {
	if d == nil {
		return nil, nil
	}
	id, err := parse(d.VMID)
	if err != nil {
		return nil, err
	}
	m := tintype.Machine{VMID: id, Generalized: d.Generalized, Size: d.Size, Zones: d.Zones, Kept: d.Kept, Revision: d.Revision, Image: d.Image, Power: tintype.Power(d.Power)}
	place := func(k machineDiskDoc) tintype.MachineDisk {
		disk, ok := tintype.ParseResourceID(k.ID)
		if !ok {
			err = fmt.Errorf("catalog holds a bad resource id %q", k.ID)
		}
		return tintype.MachineDisk{ID: disk, LUN: k.LUN, Caching: k.Caching, Delete: k.Delete, Option: cmp.Or(k.Option, tintype.PlaceAttach)}
	}
	if d.OS != nil {
		os := place(*d.OS)
		m.OS = &os
	}
	for _, k := range d.Data {
		m.Data = append(m.Data, place(k))
	}
	return &m, err
}
