package tintype

// Attachment is a disk or snapshot that a host reads or writes over NBD, or vhost-user. It lasts until it is detached.
type Attachment struct {
	Resource ResourceID
	Host     string
	ReadOnly bool
	URI      string // where it serves, such as nbd+unix:///EXPORT?socket=PATH
	// VhostUser is the socket at which a virtual machine on the server's machine has it with shared memory; "": there is none.
	VhostUser string
	Changes   []Changes
}

// Changes is what differs between an attached volume and an older snapshot, as an export of its own.
type Changes struct {
	Since string // name of the older snapshot
	URI   string
}

// maxHostName bounds the name of a host that attaches, as DNS does.
const maxHostName = 253

// CheckHost says whether name may be the host of an attachment.
func CheckHost(name string) error {
	if name == "" {
		return MissingParameter("host")
	}
	if len(name) > maxHostName {
		return badValue("host")
	}
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return badValue("host")
		}
	}
	return nil
}

// HostID is the resource id that shows, as managedBy, which host holds a disk.
func HostID(sub SubscriptionID, host string) string {
	return "/subscriptions/" + string(sub) + "/providers/Tintype.Hosts/hosts/" + host
}
