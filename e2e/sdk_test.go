package e2e

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"tintype/internal/rig"
)

// factory makes the SDK's clients for a server, logged in as its service principal.
func factory(t *testing.T, s *rig.Server) *armcompute.ClientFactory {
	t.Helper()
	p, err := s.Principal()
	if err != nil {
		t.Fatal(err)
	}
	options := azcore.ClientOptions{
		Transport: httpClient(t, s),
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: s.URL + "/",
			Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Endpoint: s.URL, Audience: s.URL + "/"},
			},
		},
	}
	cred, err := azidentity.NewClientSecretCredential(p.Tenant, p.AppID, p.Password, &azidentity.ClientSecretCredentialOptions{
		ClientOptions: options, DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	clients, err := armcompute.NewClientFactory(p.SubscriptionID, cred, &arm.ClientOptions{
		ClientOptions: options, DisableRPRegistration: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return clients
}

// done waits for a long-running operation of the SDK.
func done[T any](t *testing.T, poller *runtime.Poller[T], err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	result, err := poller.PollUntilDone(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestGoSDK creates, lists, grants and deletes with Azure's own Go clients at the newest api-version.
func TestGoSDK(t *testing.T) {
	s := start(t, t.TempDir())
	newAPI(t, s).makeGroup("sdk")
	ctx, clients := t.Context(), factory(t, s)
	disks, snapshots := clients.NewDisksClient(), clients.NewSnapshotsClient()

	created, err := disks.BeginCreateOrUpdate(ctx, "sdk", "d1", armcompute.Disk{
		Location: to.Ptr("westus2"),
		SKU:      &armcompute.DiskSKU{Name: to.Ptr(armcompute.DiskStorageAccountTypesStandardSSDLRS)},
		Tags:     map[string]*string{"made": to.Ptr("by sdk")},
		Properties: &armcompute.DiskProperties{
			CreationData: &armcompute.CreationData{CreateOption: to.Ptr(armcompute.DiskCreateOptionEmpty)},
			DiskSizeGB:   to.Ptr[int32](1),
		},
	}, nil)
	disk := done(t, created, err).Disk
	if *disk.Name != "d1" || *disk.Properties.DiskSizeBytes != 1<<30 || *disk.Properties.ProvisioningState != "Succeeded" {
		t.Errorf("the disk: %s, %d bytes, %s", *disk.Name, *disk.Properties.DiskSizeBytes, *disk.Properties.ProvisioningState)
	}
	cut, err := snapshots.BeginCreateOrUpdate(ctx, "sdk", "s1", armcompute.Snapshot{
		Location: to.Ptr("westus2"),
		Properties: &armcompute.SnapshotProperties{CreationData: &armcompute.CreationData{
			CreateOption: to.Ptr(armcompute.DiskCreateOptionCopy), SourceResourceID: disk.ID,
		}},
	}, nil)
	snapshot := done(t, cut, err).Snapshot
	if *snapshot.Properties.CreationData.SourceUniqueID != *disk.Properties.UniqueID {
		t.Error("the snapshot's sourceUniqueId is not the disk's uniqueId")
	}
	if got := listSnapshots(t, snapshots); len(got) != 1 || got[0] != "s1" {
		t.Errorf("the list: %v", got)
	}
	updated, err := snapshots.BeginUpdate(ctx, "sdk", "s1", armcompute.SnapshotUpdate{Tags: map[string]*string{"k": to.Ptr("v")}}, nil)
	if tags := done(t, updated, err).Tags; len(tags) != 1 || *tags["k"] != "v" {
		t.Errorf("tags: %v", tags)
	}
	grantWithSDK(t, s, snapshots)
	vhdxWithSDK(t, s, snapshots)

	deleted, err := disks.BeginDelete(ctx, "sdk", "d1", nil)
	done(t, deleted, err)
	gone, err := snapshots.BeginDelete(ctx, "sdk", "s1", nil)
	done(t, gone, err)
	_, err = snapshots.Get(ctx, "sdk", "s1", nil)
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode != 404 || answer.ErrorCode != "ResourceNotFound" {
		t.Errorf("after the deletion: %v", err)
	}
}

func listSnapshots(t *testing.T, snapshots *armcompute.SnapshotsClient) (names []string) {
	t.Helper()
	for pages := snapshots.NewListByResourceGroupPager("sdk", nil); pages.More(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Value {
			names = append(names, *s.Name)
		}
	}
	return names
}

// grantWithSDK reads a snapshot's last 512 bytes, its footer, through a SAS, and takes the SAS back.
func grantWithSDK(t *testing.T, s *rig.Server, snapshots *armcompute.SnapshotsClient) {
	t.Helper()
	granting, err := snapshots.BeginGrantAccess(t.Context(), "sdk", "s1", armcompute.GrantAccessData{
		Access: to.Ptr(armcompute.AccessLevelRead), DurationInSeconds: to.Ptr[int32](600),
	}, nil)
	sas := *done(t, granting, err).AccessSAS
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, sas, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=1073741824-1073742335")
	client := httpClient(t, s)
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	footer, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusPartialContent || len(footer) != 512 || string(footer[:8]) != "conectix" {
		t.Errorf("the footer: %d, %d bytes, %v", answer.StatusCode, len(footer), err)
	}
	got, err := snapshots.Get(t.Context(), "sdk", "s1", nil)
	if err != nil || *got.Properties.DiskState != armcompute.DiskStateActiveSAS {
		t.Errorf("with a SAS out: %v, %v", got.Properties, err)
	}
	revoking, err := snapshots.BeginRevokeAccess(t.Context(), "sdk", "s1", nil)
	done(t, revoking, err)
	again, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Body.Close()
	if again.StatusCode != http.StatusForbidden {
		t.Errorf("the revoked SAS answers %d", again.StatusCode)
	}
}

// vhdxWithSDK downloads a snapshot as VHDX and has qemu-img judge the file.
func vhdxWithSDK(t *testing.T, s *rig.Server, snapshots *armcompute.SnapshotsClient) {
	t.Helper()
	need(t, "qemu-img")
	granting, err := snapshots.BeginGrantAccess(t.Context(), "sdk", "s1", armcompute.GrantAccessData{
		Access: to.Ptr(armcompute.AccessLevelRead), DurationInSeconds: to.Ptr[int32](600), FileFormat: to.Ptr(armcompute.FileFormatVHDX),
	}, nil)
	answer, err := httpClient(t, s).Get(*done(t, granting, err).AccessSAS)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "s1.vhdx"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if n, err := io.Copy(file, answer.Body); err != nil || n != answer.ContentLength {
		t.Errorf("%d bytes of %d: %v", n, answer.ContentLength, err)
	}
	out, err := exec.CommandContext(t.Context(), "qemu-img", "info", "-f", "vhdx", file.Name()).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "(1073741824 bytes)") {
		t.Errorf("qemu-img: %v\n%s", err, out)
	}
	revoking, err := snapshots.BeginRevokeAccess(t.Context(), "sdk", "s1", nil)
	done(t, revoking, err)
}
