package crashfs_test

import (
	"testing"

	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/vfstest"
)

func TestConforms(t *testing.T) {
	vfstest.Run(t, crashfs.New(1), "/some/where")
}

func TestConformsAfterRestart(t *testing.T) {
	vfstest.Run(t, crashfs.New(1).AfterRestart().Restart().AfterCrash().Crash(), "some")
}
