package cli

import (
	"strings"
	"testing"
	"time"
)

// TestKeysOfCustomersByCommands makes a vault, a key, an encryption set and a disk under it; rotates, disables and deletes the key.
func TestKeysOfCustomersByCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real server")
	}
	t.Parallel()
	r := startReal(t)
	expect := r.expects(t)
	r.must(t, "keyvault", "create", "-g", "g", "-n", "cli-vault", "--retention-days", "7", "--enable-purge-protection")
	kid := r.must(t, "keyvault", "key", "create", "--vault-name", "cli-vault", "-n", "root", "--size", "2048", "--query", "key.kid", "-o", "tsv")
	expect("root", "keyvault", "key", "list", "--vault-name", "cli-vault", "--query", "[].name", "-o", "tsv")
	r.must(t, "disk-encryption-set", "create", "-g", "g", "-n", "set", "--source-vault", "cli-vault", "--key-url", kid, "--enable-auto-key-rotation")
	sealed := []string{"disk", "create", "-g", "g", "-n", "d", "--size-gb", "1", "--encryption-type", "EncryptionAtRestWithCustomerKey", "--disk-encryption-set", "set"}
	r.fails(t, 1, "KeyVaultAccessForbidden", sealed...)
	who := r.must(t, "disk-encryption-set", "show", "-g", "g", "-n", "set", "--query", "identity.principalId", "-o", "tsv")
	r.must(t, "keyvault", "set-policy", "-n", "cli-vault", "--object-id", who, "--key-permissions", "get", "wrapKey", "unwrapKey")
	expect("2", "keyvault", "set-policy", "-n", "cli-vault", "--object-id", who, "--key-permissions", "get", "wrapKey", "unwrapKey", "--query", "length(properties.accessPolicies)", "-o", "tsv")
	r.must(t, sealed...)
	expect("d", "disk-encryption-set", "list-associated-resources", "-g", "g", "-n", "set", "--query", "[?ends_with(@, '/d')] && 'd'", "-o", "tsv")
	newer := r.must(t, "keyvault", "key", "rotate", "--id", kid, "--query", "key.kid", "-o", "tsv")
	if newer == kid {
		t.Error("a rotation makes no version")
	}
	expect("2", "keyvault", "key", "list-versions", "--vault-name", "cli-vault", "-n", "root", "--query", "length(@)", "-o", "tsv")
	expect(kid, "keyvault", "key", "show", "--id", kid, "--query", "key.kid", "-o", "tsv")
	expect("false", "keyvault", "key", "set-attributes", "--id", newer, "--enabled", "false", "--query", "attributes.enabled", "-o", "tsv")
	r.must(t, "keyvault", "key", "set-attributes", "--id", newer, "--enabled", "true")
	r.must(t, "disk-encryption-set", "update", "-g", "g", "-n", "set", "--enable-auto-key-rotation", "false", "--key-url", newer, "--tags", "a=b")
	expect("b\n"+newer, "disk-encryption-set", "show", "-g", "g", "-n", "set", "--query", "[tags.a,activeKey.keyUrl]", "-o", "tsv")
	r.userAssigned(t, newer)
	r.must(t, "disk", "delete", "-g", "g", "-n", "d", "-y")
	r.must(t, "disk-encryption-set", "delete", "-g", "g", "-n", "set")
	r.must(t, "keyvault", "key", "delete", "--vault-name", "cli-vault", "-n", "root")
	expect("root", "keyvault", "key", "list-deleted", "--vault-name", "cli-vault", "--query", "[].name", "-o", "tsv")
	r.must(t, "keyvault", "key", "recover", "--vault-name", "cli-vault", "-n", "root")
	r.must(t, "keyvault", "delete-policy", "-n", "cli-vault", "--object-id", who)
	r.must(t, "keyvault", "delete", "-n", "cli-vault")
	expect("cli-vault", "keyvault", "list-deleted", "--query", "[].name", "-o", "tsv")
	r.fails(t, 1, "urge", "keyvault", "purge", "-n", "cli-vault")
	r.must(t, "keyvault", "recover", "-n", "cli-vault")
	expect("cli-vault", "keyvault", "list", "--query", "[].name", "-o", "tsv")
	r.fails(t, 1, "not found within subscription", "keyvault", "show", "-n", "nobody")
	r.fails(t, 1, "refusing to follow", "keyvault", "key", "show", "--id", "https://cli-vault.vault.example.org/keys/root")
}

// userAssigned has an encryption set reach its vault by an identity that is a resource.
func (r *real) userAssigned(t *testing.T, kid string) {
	t.Helper()
	worker := r.must(t, "identity", "create", "-g", "g", "-n", "worker", "--query", "id", "-o", "tsv")
	who := r.must(t, "identity", "show", "-g", "g", "-n", "worker", "--query", "principalId", "-o", "tsv")
	create := []string{"disk-encryption-set", "create", "-g", "g", "-n", "other", "--source-vault", "cli-vault", "--key-url", kid, "--mi-user-assigned"}
	r.fails(t, 1, "FailedIdentityOperation", append(create, worker+"x")...)
	r.fails(t, 1, "federatedClientId", append(create, worker, "--federated-client-id", who)...)
	r.must(t, append(create, worker)...)
	shown := r.must(t, "disk-encryption-set", "show", "-g", "g", "-n", "other", "--query", "identity.[type,principalId,values(userAssignedIdentities)[0].principalId]", "-o", "tsv")
	if shown != "UserAssigned\nNone\n"+who {
		t.Errorf("identity of the set: %q", shown)
	}
	sealed := []string{"disk", "create", "-g", "g", "-n", "u", "--size-gb", "1", "--encryption-type", "EncryptionAtRestWithCustomerKey", "--disk-encryption-set", "other"}
	r.fails(t, 1, "KeyVaultAccessForbidden", sealed...)
	r.must(t, "keyvault", "set-policy", "-n", "cli-vault", "--object-id", who, "--key-permissions", "get", "wrapKey", "unwrapKey")
	r.must(t, sealed...)

	sub := worker[:strings.Index(worker, "/resource")]
	login := r.must(t, "ad", "sp", "create-for-rbac", "-n", "keeper", "--role", "Disk Restore Operator", "--scopes", sub, "--only-show-errors")
	file := `{"Name":"Keeper","Actions":["Microsoft.Compute/*","Microsoft.Resources/subscriptions/resourceGroups/read"],"AssignableScopes":["` + sub + `"]}`
	r.must(t, "role", "definition", "create", "--role-definition", file)
	keeper := r.must(t, "ad", "sp", "list", "--display-name", "keeper", "--query", "[].appId", "-o", "tsv")
	r.must(t, "role", "assignment", "create", "--assignee", keeper, "--role", "Keeper")
	again := append(create, worker)
	if _, stderr, code := r.as(t, login, again...); code == 0 || !strings.Contains(stderr, "LinkedAuthorizationFailed") {
		t.Errorf("who may not assign the identity: exit %d, %s", code, stderr)
	}
	r.must(t, "role", "assignment", "create", "--assignee", keeper, "--role", "Managed Identity Operator", "--scope", worker)
	if _, stderr, code := r.as(t, login, again...); code != 0 {
		t.Errorf("who may assign the identity: exit %d, %s", code, stderr)
	}
	if got := r.must(t, "identity", "list", "--query", "[].name", "-o", "tsv"); got != "worker" {
		t.Errorf("identities: %q", got)
	}
	r.must(t, "identity", "delete", "-g", "g", "-n", "worker")
	locked := func() bool {
		fault := r.must(t, "disk-encryption-set", "show", "-g", "g", "-n", "other", "--query", "autoKeyRotationError.code", "-o", "tsv")
		return fault != "" && fault != "None"
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if locked() {
			break
		}
	}
	if !locked() {
		t.Error("a set is as good as before without its identity")
	}
	r.must(t, "disk", "delete", "-g", "g", "-n", "u", "-y")
	r.must(t, "disk-encryption-set", "delete", "-g", "g", "-n", "other")
}

// TestPointsImagesAndAccesses makes what stands beside disks: restore points, images and disk accesses.
func TestPointsImagesAndAccesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real server")
	}
	t.Parallel()
	r := startReal(t)
	expect := r.expects(t)
	disk := r.must(t, "disk", "create", "-g", "g", "-n", "d", "--size-gb", "1", "--os-type", "Linux", "--query", "id", "-o", "tsv")
	group := r.must(t, "group", "show", "-n", "g", "--query", "id", "-o", "tsv")
	r.must(t, "restore-point", "collection", "create", "-g", "g", "--collection-name", "c", "--source-id", group, "--tags", "a=b")
	point := r.must(t, "restore-point", "create", "-g", "g", "--collection-name", "c", "-n", "p", "--consistency-mode", "CrashConsistent", "--query", "id", "-o", "tsv")
	if !strings.HasSuffix(point, "/restorePointCollections/c/restorePoints/p") {
		t.Error(point)
	}
	expect("p", "restore-point", "collection", "show", "-g", "g", "--collection-name", "c", "--restore-points", "--query", "restorePoints[].name", "-o", "tsv")
	expect("CrashConsistent", "restore-point", "show", "-g", "g", "--collection-name", "c", "-n", "p", "--instance-view", "--query", "consistencyMode", "-o", "tsv")
	expect("c", "restore-point", "collection", "list-all", "--query", "[].name", "-o", "tsv")
	r.must(t, "restore-point", "collection", "update", "-g", "g", "--collection-name", "c", "--tags", "a=c")
	expect("c", "restore-point", "collection", "show", "-g", "g", "--collection-name", "c", "--query", "tags.a", "-o", "tsv")
	r.must(t, "restore-point", "delete", "-g", "g", "--collection-name", "c", "-n", "p", "-y")
	r.fails(t, 3, "NotFound", "restore-point", "show", "-g", "g", "--collection-name", "c", "-n", "p")
	r.fails(t, 1, "--yes", "restore-point", "collection", "delete", "-g", "g", "--collection-name", "c")
	r.must(t, "restore-point", "collection", "delete", "-g", "g", "--collection-name", "c", "-y")

	r.must(t, "disk-access", "create", "-g", "g", "-n", "door")
	r.must(t, "disk-access", "update", "-g", "g", "-n", "door", "--set", "tags.x=1")
	expect("1", "disk-access", "show", "-g", "g", "-n", "door", "--query", "tags.x", "-o", "tsv")
	expect("door", "disk-access", "list", "-g", "g", "--query", "[].name", "-o", "tsv")
	r.fails(t, 1, "Available options: ['tags']", "disk-access", "update", "-g", "g", "-n", "door", "--set", "name=x")
	r.fails(t, 2, "only tags", "disk-access", "update", "-g", "g", "-n", "door", "--set", "tags=1")
	r.must(t, "disk-access", "delete", "-g", "g", "-n", "door")

	r.must(t, "snapshot", "create", "-g", "g", "-n", "s", "--source", "d")
	r.must(t, "image", "create", "-g", "g", "-n", "i", "--source", "s", "--os-type", "Linux", "--data-disk-sources", disk)
	expect("Linux\nGeneralized", "image", "show", "-g", "g", "-n", "i", "--query", "storageProfile.osDisk.[osType,osState]", "-o", "tsv")
	r.fails(t, 2, "os-type", "image", "create", "-g", "g", "-n", "j", "--source", "d")
	expect("i", "image", "list", "--query", "[].name", "-o", "tsv")
	r.must(t, "image", "delete", "-g", "g", "-n", "i")
}
