package nbd

import (
	"net"
	"sync"
)

// message is bytes on their way to the client, and what to give back once they have left.
type message struct {
	parts [][]byte
	task  *task
	batch []byte
}

// outbox sends messages, each whole and one after the other. Whoever finds it unused sends, and goes on sending what
// others add meanwhile, so that under load many replies leave in one system call and nobody else waits.
type outbox struct {
	nc      net.Conn
	release func(message)
	settle  func() error // called before anything leaves; an error ends the connection unsent

	mu    sync.Mutex
	busy  bool
	err   error
	queue []message
	spare []message
	iov   [][]byte // only used by who made it busy
}

// send takes over messages. The error is the first of any message, after which nothing is sent any more.
func (o *outbox) send(all ...message) error {
	o.mu.Lock()
	if err := o.err; err != nil {
		o.mu.Unlock()
		for _, m := range all {
			o.release(m)
		}
		return err
	}
	o.queue = append(o.queue, all...)
	if o.busy {
		o.mu.Unlock()
		return nil
	}
	o.busy = true
	for len(o.queue) > 0 {
		sending := o.queue
		o.queue = o.spare[:0]
		failed := o.err
		o.mu.Unlock()
		if failed == nil {
			failed = o.write(sending)
		}
		for i := range sending {
			o.release(sending[i])
			sending[i] = message{}
		}
		o.mu.Lock()
		o.spare = sending
		o.err = failed
	}
	o.busy = false
	err := o.err
	o.mu.Unlock()
	return err
}

func (o *outbox) write(sending []message) error {
	if err := o.settle(); err != nil {
		return o.broken(err)
	}
	if len(sending) == 1 && len(sending[0].parts) == 1 {
		_, err := o.nc.Write(sending[0].parts[0])
		return o.broken(err)
	}
	iov := o.iov[:0]
	for _, m := range sending {
		iov = append(iov, m.parts...)
	}
	o.iov = iov
	vec := net.Buffers(iov)
	_, err := vec.WriteTo(o.nc)
	clear(o.iov)
	return o.broken(err)
}

// broken ends the connection after a failed send, so that its reader stops too.
func (o *outbox) broken(err error) error {
	if err != nil {
		o.nc.Close()
	}
	return err
}
