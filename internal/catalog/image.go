package catalog

import (
	"fmt"

	"tintype"
)

// imageDoc is an image as the catalog keeps it. Fields are only ever added.
type imageDoc struct {
	Generation string         `json:"hyperVGeneration,omitempty"`
	Machine    string         `json:"machine,omitempty"`
	Zoned      *bool          `json:"zoneResilient,omitempty"`
	OS         imageDiskDoc   `json:"os"`
	Data       []imageDiskDoc `json:"data,omitempty"`
	Creating   bool           `json:"creating,omitempty"`
}

type imageDiskDoc struct {
	LUN      int    `json:"lun"`
	OSType   string `json:"osType,omitempty"`
	OSState  string `json:"osState,omitempty"`
	Snapshot string `json:"snapshot,omitempty"`
	Disk     string `json:"disk,omitempty"`
	BlobURI  string `json:"blobUri,omitempty"`
	Caching  string `json:"caching,omitempty"`
	SizeGB   int64  `json:"sizeGB"`
	Storage  string `json:"storageAccountType,omitempty"`
	SetID    string `json:"setId,omitempty"`
	Volume   string `json:"volume"`
}

func encodeImage(i *tintype.Image) *imageDoc {
	if i == nil {
		return nil
	}
	d := imageDoc{Generation: i.Generation, Machine: i.Machine, Zoned: i.Zoned, Creating: i.Creating, OS: encodeImageDisk(i.OS)}
	for _, k := range i.Data {
		d.Data = append(d.Data, encodeImageDisk(k))
	}
	return &d
}

func encodeImageDisk(k tintype.ImageDisk) imageDiskDoc {
	return imageDiskDoc{
		LUN: k.LUN, OSType: k.OSType, OSState: k.OSState, Snapshot: k.Source.Snapshot, Disk: k.Source.Disk, BlobURI: k.Source.BlobURI,
		Caching: k.Caching, SizeGB: k.SizeGB, Storage: k.Storage, SetID: k.SetID, Volume: k.Volume.String(),
	}
}

func decodeImage(d *imageDoc) (*tintype.Image, error) {
	if d == nil {
		return nil, nil
	}
	i := tintype.Image{Generation: d.Generation, Machine: d.Machine, Zoned: d.Zoned, Creating: d.Creating}
	var err error
	if i.OS, err = decodeImageDisk(d.OS); err != nil {
		return nil, err
	}
	for _, k := range d.Data {
		disk, err := decodeImageDisk(k)
		if err != nil {
			return nil, err
		}
		i.Data = append(i.Data, disk)
	}
	return &i, nil
}

func decodeImageDisk(k imageDiskDoc) (tintype.ImageDisk, error) {
	volume, ok := tintype.ParseResourceID(k.Volume)
	if !ok {
		return tintype.ImageDisk{}, fmt.Errorf("catalog holds a bad resource id %q", k.Volume)
	}
	return tintype.ImageDisk{
		LUN: k.LUN, OSType: k.OSType, OSState: k.OSState,
		Source:  tintype.ImageSource{Snapshot: k.Snapshot, Disk: k.Disk, BlobURI: k.BlobURI},
		Caching: k.Caching, SizeGB: k.SizeGB, Storage: k.Storage, SetID: k.SetID, Volume: volume,
	}, nil
}
