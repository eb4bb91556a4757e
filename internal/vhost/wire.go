package vhost

import "encoding/binary"

// Numbers of the vhost-user protocol (QEMU, docs/interop/vhost-user) and of virtio 1.2. The protocol is in the machine's own byte
// order and rings are little-endian; this package runs where the two are one.

// command is what a message of the front end asks for.
type command uint32

const (
	getFeatures         command = 1
	setFeatures         command = 2
	setOwner            command = 3
	resetOwner          command = 4
	setMemTable         command = 5
	setVringNum         command = 8
	setVringAddr        command = 9
	setVringBase        command = 10
	getVringBase        command = 11
	setVringKick        command = 12
	setVringCall        command = 13
	setVringErr         command = 14
	getProtocolFeatures command = 15
	setProtocolFeatures command = 16
	getQueueNum         command = 17
	setVringEnable      command = 18
	setBackendFD        command = 21
	getConfig           command = 24
	setConfig           command = 25
	getInflightFD       command = 31
	setInflightFD       command = 32
)

// backendConfigChanged is a message of ours to the front end.
const backendConfigChanged command = 2

const (
	headerSize = 12
	// maxPayload is more than any message has that we take: eight regions, or 256 bytes of configuration.
	maxPayload = 1024
	// maxFDs is how many descriptors come with one message.
	maxFDs = 8

	flagVersion   = 1
	flagVersions  = 3
	flagReply     = 1 << 2
	flagNeedReply = 1 << 3

	vringIndexMask = 0xff
	vringNoFD      = 1 << 8
)

const (
	protoMQ       = 1 << 0
	protoReplyAck = 1 << 3
	protoBackend  = 1 << 5
	protoConfig   = 1 << 9
	protoInflight = 1 << 12

	protocolFeatures uint64 = protoMQ | protoReplyAck | protoBackend | protoConfig | protoInflight
)

const (
	featureSegMax      uint64 = 1 << 2
	featureRO          uint64 = 1 << 5
	featureBlkSize     uint64 = 1 << 6
	featureFlush       uint64 = 1 << 9
	featureTopology    uint64 = 1 << 10
	featureMQ          uint64 = 1 << 12
	featureDiscard     uint64 = 1 << 13
	featureWriteZeroes uint64 = 1 << 14
	featureIndirect    uint64 = 1 << 28
	featureEventIdx    uint64 = 1 << 29
	featureProtocol    uint64 = 1 << 30
	featureVersion1    uint64 = 1 << 32
)

// Limits of what a front end may set up.
const (
	maxQueues    = 16
	maxQueueSize = 1024
	maxRegions   = 8
	maxMemory    = 16 << 40
)

const sector = 512

const (
	descNext     = 1
	descWrite    = 2
	descIndirect = 4
	descSize     = 16

	availNoInterrupt = 1
	usedNoNotify     = 1
)

// blockCommand is what a request asks of the disk.
type blockCommand uint32

const (
	blkIn          blockCommand = 0
	blkOut         blockCommand = 1
	blkFlush       blockCommand = 4
	blkGetID       blockCommand = 8
	blkDiscard     blockCommand = 11
	blkWriteZeroes blockCommand = 13
)

// String names a command in logs and metrics.
func (c blockCommand) String() string {
	switch c {
	case blkIn:
		return "read"
	case blkOut:
		return "write"
	case blkFlush:
		return "flush"
	case blkGetID:
		return "id"
	case blkDiscard:
		return "trim"
	case blkWriteZeroes:
		return "zero"
	}
	return "unknown"
}

const (
	statusOK      = 0
	statusIOError = 1
	statusUnsupp  = 2

	requestHeader = 16
	idLength      = 20

	rangeSize  = 16 // of a range to discard or to zero
	rangeUnmap = 1
	// maxRanges is how many ranges one request names.
	maxRanges = 32
	// maxRangeSectors is how long one is, 2 GiB.
	maxRangeSectors = 4 << 20
)

const (
	segMax     = 126
	configSize = 60
	// maxConfig is the largest configuration space of the protocol.
	maxConfig = 256
)

// configSpace is struct virtio_blk_config of a disk.
func configSpace(size int64) []byte {
	c := make([]byte, configSize)
	le := binary.LittleEndian
	le.PutUint64(c[0:], uint64(size/sector))
	le.PutUint32(c[12:], segMax)
	le.PutUint32(c[20:], sector)
	c[24] = 3               // a physical block is 2³ sectors
	le.PutUint16(c[26:], 8) // and the shortest write that is done in place of nothing else
	c[32] = 1               // there is a cache to flush
	le.PutUint16(c[34:], maxQueues)
	le.PutUint32(c[36:], maxRangeSectors)
	le.PutUint32(c[40:], maxRanges)
	le.PutUint32(c[44:], 8)
	le.PutUint32(c[48:], maxRangeSectors)
	le.PutUint32(c[52:], maxRanges)
	c[56] = 1 // zeroing may free
	return c
}
