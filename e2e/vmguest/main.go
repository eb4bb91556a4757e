//go:build linux

// Command vmguest is all the user space there is in the virtual machine of the end-to-end tests. As /init of the initial
// RAM disk it loads the drivers, mounts the disk's file system and starts itself again from there. As /sbin/init it
// verifies what the disk holds, and then obeys the lines that come over the console:
//
//	write  replace files for ever, one after the other, each made durable and then announced: "guest: wrote N"
//	mark   say which file is being written: "guest: mark N"; no later one has been begun
//	off    finish the file, unmount, switch the machine off
//
// What goes wrong is announced too: "guest: FAILED …".
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[0]); err != nil {
		say("FAILED %v", err)
	}
	for { // the kernel panics when its first process ends
		time.Sleep(time.Hour)
	}
}

func run(as string) error {
	if as == "/init" {
		return startFromDisk()
	}
	last, err := verify(filesDir)
	if err != nil {
		return err
	}
	say("found %d", last)
	return obey(last)
}

// say returns when the line has left the machine: whoever cuts its power knows of all that was announced.
func say(format string, args ...any) {
	fmt.Printf("guest: "+format+"\n", args...)
	_ = unix.IoctlSetInt(int(os.Stdout.Fd()), unix.TCSBRK, 1) // what is no terminal keeps nothing back
}

// startFromDisk makes the disk's file system the root, and starts the program that lies there.
func startFromDisk() error {
	if err := unix.Mount("dev", "/dev", "devtmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	if err := loadModules("/modules"); err != nil {
		return err
	}
	const disk = "/dev/vda1"
	for range 6000 { // drivers find their devices in their own time
		if _, err := os.Stat(disk); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := unix.Mount(disk, "/root", "ext4", unix.MS_NOATIME, "discard"); err != nil {
		return fmt.Errorf("mount %s: %w", disk, err)
	}
	if err := unix.Mount("/dev", "/root/dev", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move /dev: %w", err)
	}
	if err := unix.Chdir("/root"); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Exec("/sbin/init", []string{"/sbin/init"}, nil)
}

// loadModules loads the kernel modules of a folder, in whatever order they need one another.
func loadModules(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for len(names) > 0 {
		var later []string
		for _, name := range names {
			switch err := loadModule(name); {
			case errors.Is(err, unix.ENOENT): // it needs one that is not there yet
				later = append(later, name)
			case err != nil:
				return fmt.Errorf("load %s: %w", name, err)
			}
		}
		if len(later) == len(names) {
			return fmt.Errorf("modules need others: %s", later)
		}
		names = later
	}
	return nil
}

func loadModule(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if filepath.Ext(name) != ".ko" {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	return unix.FinitModule(int(f.Fd()), "", flags)
}

// writer writes files until it is told to stop.
type writer struct {
	begun atomic.Int64 // the last file whose writing has begun
	stop  atomic.Bool
	done  sync.WaitGroup
}

func (w *writer) start() {
	w.done.Go(func() {
		for !w.stop.Load() {
			n := w.begun.Add(1)
			if err := replace(filesDir, n); err != nil {
				say("FAILED %v", err)
				return
			}
			say("wrote %d", n)
		}
	})
}

// obey does what the lines on the console say.
func obey(last int64) error {
	var w writer
	w.begun.Store(last)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch lines.Text() {
		case "write":
			w.start()
		case "mark":
			say("mark %d", w.begun.Load())
		case "off":
			w.stop.Store(true)
			w.done.Wait()
			return switchOff()
		}
	}
	return errors.New("the console has ended")
}

func switchOff() error {
	unix.Sync()
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	say("off")
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
