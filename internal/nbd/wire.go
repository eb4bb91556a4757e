package nbd

// The numbers of the protocol. Names of sections are those of doc/proto.md of the NetworkBlockDevice project, which
// defines it.

// Magic numbers ("Newstyle negotiation", "Fixed newstyle negotiation", "Transmission").
const (
	magicGreeting    uint64 = 0x4e42444d41474943
	magicOption      uint64 = 0x49484156454f5054
	magicOptionReply uint64 = 0x0003e889045565a9
	magicRequest     uint32 = 0x25609513
	magicSimple      uint32 = 0x67446698
	magicStructured  uint32 = 0x668e33ef
)

// Sizes of fixed messages.
const (
	optionHeaderSize      = 16
	optionReplyHeaderSize = 20
	requestSize           = 28
	simpleReplySize       = 16
	chunkHeaderSize       = 20
	exportNamePadding     = 124
)

// Handshake flags, and the client's answer to them ("Flag fields").
const (
	flagFixedNewstyle uint16 = 1 << 0
	flagNoZeroes      uint16 = 1 << 1

	clientFixedNewstyle uint32 = 1 << 0
	clientNoZeroes      uint32 = 1 << 1
)

// Transmission flags.
const (
	flagHasFlags        uint16 = 1 << 0
	flagReadOnly        uint16 = 1 << 1
	flagSendFlush       uint16 = 1 << 2
	flagSendFUA         uint16 = 1 << 3
	flagSendTrim        uint16 = 1 << 5
	flagSendWriteZeroes uint16 = 1 << 6
	flagSendDF          uint16 = 1 << 7
	flagMultiConn       uint16 = 1 << 8
	flagSendCache       uint16 = 1 << 10
	flagSendFastZero    uint16 = 1 << 11
)

// Options ("Option types").
const (
	optExportName      uint32 = 1
	optAbort           uint32 = 2
	optList            uint32 = 3
	optStartTLS        uint32 = 5
	optInfo            uint32 = 6
	optGo              uint32 = 7
	optStructuredReply uint32 = 8
	optListMetaContext uint32 = 9
	optSetMetaContext  uint32 = 10
)

// Replies to options ("Option reply types").
const (
	repAck         uint32 = 1
	repServer      uint32 = 2
	repInfo        uint32 = 3
	repMetaContext uint32 = 4

	repErrUnsup   uint32 = 1<<31 + 1
	repErrInvalid uint32 = 1<<31 + 3
	repErrUnknown uint32 = 1<<31 + 6
	repErrTooBig  uint32 = 1<<31 + 9
)

// Items of information ("Option reply types", NBD_REP_INFO).
const (
	infoExport      uint16 = 0
	infoName        uint16 = 1
	infoDescription uint16 = 2
	infoBlockSize   uint16 = 3
)

// Commands ("Request types").
const (
	cmdRead        uint16 = 0
	cmdWrite       uint16 = 1
	cmdDisc        uint16 = 2
	cmdFlush       uint16 = 3
	cmdTrim        uint16 = 4
	cmdCache       uint16 = 5
	cmdWriteZeroes uint16 = 6
	cmdBlockStatus uint16 = 7
)

// Command flags.
const (
	cmdFlagFUA      uint16 = 1 << 0
	cmdFlagNoHole   uint16 = 1 << 1
	cmdFlagDF       uint16 = 1 << 2
	cmdFlagReqOne   uint16 = 1 << 3
	cmdFlagFastZero uint16 = 1 << 4
)

// Structured replies ("Structured reply flags", "Structured reply types").
const (
	chunkDone uint16 = 1 << 0

	chunkNone        uint16 = 0
	chunkOffsetData  uint16 = 1
	chunkOffsetHole  uint16 = 2
	chunkBlockStatus uint16 = 5
	chunkError       uint16 = 1<<15 + 1
)

// Metadata contexts: base:allocation ("base: metadata namespace"), and QEMU's dirty bitmaps, as docs/interop/nbd.rst of
// QEMU defines them.
const (
	contextAllocation          = "base:allocation"
	contextAllocationID uint32 = 1

	contextQEMU            = "qemu:"
	contextBitmap          = "qemu:dirty-bitmap:"
	contextBitmapID uint32 = 2 // of the first

	stateHole uint32 = 1 << 0
	stateZero uint32 = 1 << 1

	stateDirty uint32 = 1 << 0
)

// errno is an error as the protocol knows it ("Error values").
type errno uint32

const (
	errnoNone     errno = 0
	errnoPerm     errno = 1
	errnoIO       errno = 5
	errnoInval    errno = 22
	errnoNoSpace  errno = 28
	errnoOverflow errno = 75
	errnoNotSup   errno = 95
	errnoShutdown errno = 108
)

// Limits. Nothing a client says is believed beyond them.
const (
	// maxString bounds names and descriptions ("Conventions").
	maxString = 4096
	// maxOptionData bounds what an option may carry and be understood: a name and some hundred queries.
	maxOptionData = 64 << 10
	// maxOptionSkip is the longest option that is skipped and refused; who sends a longer one is cut off.
	maxOptionSkip = 1 << 20
	// maxOptions ends a negotiation that leads nowhere.
	maxOptions = 1024

	minBlock       = 1
	preferredBlock = 4096
	// maxPayload is advertised, and what the protocol asks of every server ("Size constraints").
	maxPayload = 32 << 20
	// maxPayloadSkip is the longest refused write whose data is skipped so that the connection can go on.
	maxPayloadSkip = 64 << 20
	// maxDescriptors bounds a block status reply; the client asks again for the rest.
	maxDescriptors = 8192
	// maxBitmaps bounds the bitmaps of an export, and so the contexts of a reply.
	maxBitmaps = 1024
)
