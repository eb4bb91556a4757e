package nbdclient

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// shaker is the client's side of the handshake. It reads without a buffer: what follows belongs to another reader.
type shaker struct {
	rw   io.ReadWriter
	info info
}

// optionError is a server's refusal of an option.
type optionError struct {
	kind uint32
	text string
}

func (e *optionError) Error() string {
	return fmt.Sprintf("nbd: server refuses with %d: %q", e.kind&^repError, e.text)
}

func shake(rw io.ReadWriter, export string, w wishes) (info, error) {
	s := &shaker{rw: rw, info: info{most: maxPayload}}
	if err := s.greet(); err != nil {
		return info{}, err
	}
	if !w.plain {
		if err := s.structured(export); err != nil {
			return info{}, err
		}
	}
	if err := s.choose(export); err != nil {
		return info{}, err
	}
	return s.info, nil
}

func (s *shaker) greet() error {
	var b [18]byte
	if _, err := io.ReadFull(s.rw, b[:]); err != nil {
		return fmt.Errorf("nbd: no greeting: %w", err)
	}
	if binary.BigEndian.Uint64(b[:]) != magicGreeting || binary.BigEndian.Uint64(b[8:]) != magicOption {
		return errors.New("nbd: the server does not speak newstyle NBD")
	}
	flags := binary.BigEndian.Uint16(b[16:])
	if flags&fixedNewstyle == 0 {
		return errors.New("nbd: the server does not speak fixed newstyle")
	}
	_, err := s.rw.Write(binary.BigEndian.AppendUint32(nil, uint32(flags&(fixedNewstyle|noZeroes))))
	return err
}

// structured asks for structured replies and base:allocation. A server need not have them.
func (s *shaker) structured(export string) error {
	err := s.option(optStructuredReply, nil, nil)
	if refused(err) {
		return nil
	}
	if err != nil {
		return err
	}
	s.info.structured = true
	b := binary.BigEndian.AppendUint32(nil, uint32(len(export)))
	b = append(b, export...)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(len(contextAllocation)))
	b = append(b, contextAllocation...)
	err = s.option(optSetMetaContext, b, func(kind uint32, data []byte) error {
		if kind == repMetaContext && len(data) > 4 && string(data[4:]) == contextAllocation {
			s.info.contextID = binary.BigEndian.Uint32(data)
			s.info.allocation = true
		}
		return nil
	})
	if refused(err) {
		s.info.allocation = false
		return nil
	}
	return err
}

func refused(err error) bool {
	var e *optionError
	return errors.As(err, &e)
}

func (s *shaker) choose(export string) error {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(export)))
	b = append(b, export...)
	b = binary.BigEndian.AppendUint16(b, 1)
	b = binary.BigEndian.AppendUint16(b, infoBlockSize)
	told := false
	err := s.option(optGo, b, func(kind uint32, data []byte) error {
		if kind != repInfo || len(data) < 2 {
			return nil
		}
		switch item := binary.BigEndian.Uint16(data); {
		case item == infoExport && len(data) == 12:
			size := binary.BigEndian.Uint64(data[2:])
			if size > math.MaxInt64 {
				return fmt.Errorf("nbd: an export of %d bytes", size)
			}
			told = true
			s.info.size, s.info.flags = int64(size), binary.BigEndian.Uint16(data[10:])
		case item == infoBlockSize && len(data) == 14:
			s.info.most = min(max(binary.BigEndian.Uint32(data[10:]), 4096), maxPayload)
		}
		return nil
	})
	if err == nil && !told {
		err = errors.New("nbd: the server does not say how large the export is")
	}
	if refused(err) {
		err = fmt.Errorf("nbd: export %q: %w", export, err)
	}
	return err
}

// option sends an option and calls each for its replies until the last, an acknowledgement or an error.
func (s *shaker) option(opt uint32, data []byte, each func(kind uint32, data []byte) error) error {
	b := binary.BigEndian.AppendUint64(nil, magicOption)
	b = binary.BigEndian.AppendUint32(b, opt)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	if _, err := s.rw.Write(append(b, data...)); err != nil {
		return err
	}
	for range 1000 {
		kind, reply, err := s.reply(opt)
		switch {
		case err != nil:
			return err
		case kind == repAck:
			return nil
		case kind&repError != 0:
			return &optionError{kind: kind, text: string(reply)}
		case each != nil:
			if err := each(kind, reply); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("nbd: the server answers option %d without end", opt)
}

func (s *shaker) reply(opt uint32) (kind uint32, data []byte, err error) {
	var b [20]byte
	if _, err := io.ReadFull(s.rw, b[:]); err != nil {
		return 0, nil, fmt.Errorf("nbd: no answer to option %d: %w", opt, err)
	}
	n := binary.BigEndian.Uint32(b[16:])
	if binary.BigEndian.Uint64(b[:]) != magicOptionReply || binary.BigEndian.Uint32(b[8:]) != opt || n > maxOptionReply {
		return 0, nil, fmt.Errorf("nbd: malformed answer to option %d", opt)
	}
	data = make([]byte, n)
	_, err = io.ReadFull(s.rw, data)
	return binary.BigEndian.Uint32(b[12:]), data, err
}
