package nbd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// choice is what a client and the server agreed on.
type choice struct {
	export     *export
	structured bool
	contexts   []metaContext // that block status answers with; empty: it may not be asked for
}

// handshake is the first phase of a connection ("Handshake").
type handshake struct {
	conn *conn
	srv  *Server
	in   *bufio.Reader
	out  *bufio.Writer

	fixed      bool
	noZeroes   bool
	structured bool
	context    *export // whose contexts were selected; only compared, never used
	selected   []metaContext
	data       []byte // of the option being answered
}

var errTooManyOptions = errors.New("nbd: the client negotiates without end")

func newHandshake(c *conn) *handshake {
	return &handshake{conn: c, srv: c.srv, in: bufio.NewReader(c.nc), out: bufio.NewWriter(c.nc)}
}

// run negotiates until an export is chosen, whose release is then the caller's. Neither a choice nor an error means
// that the client took its leave.
func (h *handshake) run() (*choice, error) {
	if err := h.greet(); err != nil {
		return nil, err
	}
	for range maxOptions {
		opt, skipped, err := h.readOption()
		if err != nil {
			return nil, err
		}
		if !h.fixed && opt != optExportName {
			return nil, fmt.Errorf("nbd: option %d without fixed newstyle", opt)
		}
		chosen, end, err := h.answer(opt, skipped)
		if err == nil {
			err = h.out.Flush()
		}
		if err != nil {
			if chosen != nil {
				h.srv.release(chosen.export, h.conn)
			}
			return nil, err
		}
		if chosen != nil || end {
			return chosen, nil
		}
	}
	return nil, errTooManyOptions
}

func (h *handshake) greet() error {
	b := binary.BigEndian.AppendUint64(nil, magicGreeting)
	b = binary.BigEndian.AppendUint64(b, magicOption)
	b = binary.BigEndian.AppendUint16(b, flagFixedNewstyle|flagNoZeroes)
	h.out.Write(b)
	if err := h.out.Flush(); err != nil {
		return err
	}
	var answer [4]byte
	if _, err := io.ReadFull(h.in, answer[:]); err != nil {
		return err
	}
	flags := binary.BigEndian.Uint32(answer[:])
	if unknown := flags &^ (clientFixedNewstyle | clientNoZeroes); unknown != 0 {
		return fmt.Errorf("nbd: unknown client flags %#x", unknown)
	}
	h.fixed = flags&clientFixedNewstyle != 0
	h.noZeroes = flags&clientNoZeroes != 0
	return nil
}

// readOption reads an option and its data. Data that is too long is skipped.
func (h *handshake) readOption() (opt uint32, skipped bool, err error) {
	var header [optionHeaderSize]byte
	if _, err := io.ReadFull(h.in, header[:]); err != nil {
		return 0, false, err
	}
	if magic := binary.BigEndian.Uint64(header[:]); magic != magicOption {
		return 0, false, fmt.Errorf("nbd: option begins with %#x", magic)
	}
	opt = binary.BigEndian.Uint32(header[8:])
	n := binary.BigEndian.Uint32(header[12:])
	switch {
	case n > maxOptionSkip:
		return 0, false, fmt.Errorf("nbd: option %d of %d bytes", opt, n)
	case n > maxOptionData:
		_, err = io.CopyN(io.Discard, h.in, int64(n))
		return opt, true, err
	}
	h.data = append(h.data[:0], make([]byte, n)...)
	_, err = io.ReadFull(h.in, h.data)
	return opt, false, err
}

// answer replies to one option. chosen enters the transmission phase, end closes the connection.
func (h *handshake) answer(opt uint32, skipped bool) (chosen *choice, end bool, err error) {
	if skipped {
		return h.answerSkipped(opt)
	}
	switch opt {
	case optExportName:
		chosen, err = h.exportName()
	case optAbort:
		h.reply(opt, repAck, nil)
		end = true
	case optList:
		h.list()
	case optInfo, optGo:
		chosen = h.info(opt)
	case optStructuredReply:
		if h.refuseData(opt) {
			break
		}
		h.structured = true
		h.reply(opt, repAck, nil)
	case optListMetaContext, optSetMetaContext:
		h.metaContext(opt)
	default:
		h.reply(opt, repErrUnsup, nil)
	}
	return chosen, end, err
}

func (h *handshake) answerSkipped(opt uint32) (*choice, bool, error) {
	switch opt {
	case optExportName:
		return nil, false, errors.New("nbd: export name is too long")
	case optAbort:
		h.reply(opt, repAck, nil)
		return nil, true, nil
	case optSetMetaContext:
		h.context = nil
		h.reply(opt, repErrTooBig, nil)
	case optList, optInfo, optGo, optStructuredReply, optListMetaContext:
		h.reply(opt, repErrTooBig, nil)
	default:
		h.reply(opt, repErrUnsup, nil)
	}
	return nil, false, nil
}

// reply sends one reply to an option. Errors of the writer stay in it and are met by its Flush.
func (h *handshake) reply(opt, kind uint32, data []byte) {
	b := make([]byte, 0, optionReplyHeaderSize)
	b = binary.BigEndian.AppendUint64(b, magicOptionReply)
	b = binary.BigEndian.AppendUint32(b, opt)
	b = binary.BigEndian.AppendUint32(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	h.out.Write(b)
	h.out.Write(data)
}

func (h *handshake) refuse(opt, kind uint32, why string) { h.reply(opt, kind, []byte(why)) }

func (h *handshake) refuseData(opt uint32) bool {
	if len(h.data) == 0 {
		return false
	}
	h.refuse(opt, repErrInvalid, "this option takes no data")
	return true
}

// exportName answers NBD_OPT_EXPORT_NAME, which has no way to say no but to hang up.
func (h *handshake) exportName() (*choice, error) {
	name := string(h.data)
	if len(name) > maxString {
		return nil, errors.New("nbd: export name is too long")
	}
	e := h.srv.find(name, h.conn)
	if e == nil {
		return nil, fmt.Errorf("%w: %q", ErrExportUnknown, name)
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(e.Device.Size()))
	b = binary.BigEndian.AppendUint16(b, e.flags(h.structured))
	if !h.noZeroes {
		b = append(b, make([]byte, exportNamePadding)...)
	}
	h.out.Write(b)
	return h.choose(e), nil
}

func (h *handshake) choose(e *export) *choice {
	c := &choice{export: e, structured: h.structured}
	if h.structured && h.context == e {
		c.contexts = h.selected
	}
	return c
}

func (h *handshake) list() {
	if h.refuseData(optList) {
		return
	}
	for _, e := range h.srv.list() {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(e.Name)))
		b = append(b, e.Name...)
		h.reply(optList, repServer, append(b, e.Description...))
	}
	h.reply(optList, repAck, nil)
}

// info answers NBD_OPT_INFO, and NBD_OPT_GO, which is the same and then enters the transmission phase.
func (h *handshake) info(opt uint32) *choice {
	r, err := parseInfoRequest(h.data)
	if err != nil {
		h.refuse(opt, repErrInvalid, err.Error())
		return nil
	}
	e := h.srv.find(r.name, h.conn)
	if e == nil {
		h.refuse(opt, repErrUnknown, "no such export")
		return nil
	}
	h.describe(opt, e, r.items)
	h.reply(opt, repAck, nil)
	if opt == optGo {
		return h.choose(e)
	}
	h.srv.release(e, h.conn)
	return nil
}

func (h *handshake) describe(opt uint32, e *export, items []uint16) {
	b := binary.BigEndian.AppendUint16(nil, infoExport)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Device.Size()))
	h.reply(opt, repInfo, binary.BigEndian.AppendUint16(b, e.flags(h.structured)))
	said := map[uint16]bool{infoExport: true}
	for _, item := range items {
		if said[item] {
			continue
		}
		said[item] = true
		b := binary.BigEndian.AppendUint16(nil, item)
		switch item {
		case infoName:
			b = append(b, e.Name...)
		case infoDescription:
			b = append(b, e.Description...)
		case infoBlockSize:
			b = binary.BigEndian.AppendUint32(b, minBlock)
			b = binary.BigEndian.AppendUint32(b, preferredBlock)
			b = binary.BigEndian.AppendUint32(b, maxPayload)
		default:
			continue
		}
		h.reply(opt, repInfo, b)
	}
}

func (h *handshake) metaContext(opt uint32) {
	setting := opt == optSetMetaContext
	if setting {
		h.context = nil
	}
	r, err := parseContextRequest(h.data)
	if err != nil {
		h.refuse(opt, repErrInvalid, err.Error())
		return
	}
	if !h.structured {
		h.refuse(opt, repErrInvalid, "structured replies come first")
		return
	}
	e := h.srv.find(r.name, h.conn)
	if e == nil {
		h.refuse(opt, repErrUnknown, "no such export")
		return
	}
	defer h.srv.release(e, h.conn)
	if setting {
		h.context, h.selected = e, nil
	}
	for _, c := range e.contexts() {
		if !r.wants(c.name, !setting) {
			continue
		}
		id := uint32(0) // reserved when listing
		if setting {
			h.selected = append(h.selected, c)
			id = c.id
		}
		h.reply(opt, repMetaContext, append(binary.BigEndian.AppendUint32(nil, id), c.name...))
	}
	h.reply(opt, repAck, nil)
}
