package nbdclient

import (
	"fmt"
	"syscall"
)

// The numbers of the protocol, as doc/proto.md of the NetworkBlockDevice project defines them. The client has its own
// list, so that a mistake in the server's shows.
const (
	magicGreeting    = 0x4e42444d41474943
	magicOption      = 0x49484156454f5054
	magicOptionReply = 0x3e889045565a9
	magicRequest     = 0x25609513
	magicSimple      = 0x67446698
	magicStructured  = 0x668e33ef

	fixedNewstyle = 1 // the same bit in the server's flags and in the client's
	noZeroes      = 2

	optGo              = 7
	optStructuredReply = 8
	optSetMetaContext  = 10

	repAck         = 1
	repInfo        = 3
	repMetaContext = 4
	repError       = 1 << 31 // set in every error

	infoExport    = 0
	infoBlockSize = 3

	flagReadOnly = 1 << 1
	flagFlush    = 1 << 2
	flagFUA      = 1 << 3
	flagTrim     = 1 << 5
	flagZeroes   = 1 << 6

	cmdRead        = 0
	cmdWrite       = 1
	cmdDisc        = 2
	cmdFlush       = 3
	cmdTrim        = 4
	cmdWriteZeroes = 6
	cmdBlockStatus = 7

	cmdFlagFUA = 1 << 0

	chunkDone = 1 << 0

	chunkNone        = 0
	chunkData        = 1
	chunkHole        = 2
	chunkBlockStatus = 5
	chunkErrorBit    = 1 << 15

	contextAllocation = "base:allocation"
	stateZero         = 1 << 1

	// maxPayload is what every server takes unless it says otherwise ("Size constraints").
	maxPayload = 32 << 20
	// maxOptionReply bounds what a server may answer to an option.
	maxOptionReply = 64 << 10
	// maxStatus bounds a block status reply, which should have at most 2^20 descriptors.
	maxStatus = 4 + 8<<20
	// maxErrorChunk bounds an error with its message of up to 4096 bytes.
	maxErrorChunk = 8 << 10
)

// Error is what a server answered. It unwraps to the syscall.Errno of the same name, so test with
// errors.Is(err, syscall.ENOSPC).
type Error struct {
	Number  uint32
	Message string // from the server; may be empty
}

func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("nbd: server: %v", syscall.Errno(e.Number))
	}
	return fmt.Sprintf("nbd: server: %v: %q", syscall.Errno(e.Number), e.Message)
}

func (e *Error) Unwrap() error { return syscall.Errno(e.Number) }
