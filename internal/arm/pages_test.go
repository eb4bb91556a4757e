package arm

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"tintype"
	"tintype/internal/vault"
)

// listedVaults are key vaults that are listed, and nothing else.
type listedVaults struct {
	Vaults
	names map[string]bool
}

func (l listedVaults) List(tintype.SubscriptionID, string, bool) (all []vault.Vault) {
	for name := range l.names {
		all = append(all, vault.Vault{ID: vault.ID{Subscription: testSub, Group: "g", Name: name}})
	}
	slices.SortFunc(all, func(a, b vault.Vault) int { return strings.Compare(a.ID.Name, b.ID.Name) })
	return all
}

// TestResourcePages follows nextLink while resources come and go, and wants everything that was there all along exactly once, and nothing
// twice.
func TestResourcePages(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newComputeRig(t)
			r.group("g")
			p := pagedResources{r: r, random: rand.New(rand.NewPCG(seed, 0)), there: map[string]bool{}, vaults: listedVaults{names: map[string]bool{}}}
			r.router.opt.Vaults = p.vaults
			for range 12 {
				p.change()
			}
			always, seen := copyOfSet(p.there), map[string]bool{}
			link := fmt.Sprintf("/subscriptions/%s/resources?api-version=2021-04-01&$top=%d", testSub, 1+p.random.IntN(3))
			for page := 0; link != ""; page++ {
				a := r.do("GET", link, nil)
				if a.status != http.StatusOK || page > 100 {
					t.Fatalf("page %d, %s: %d %v", page, link, a.status, a.body)
				}
				list, _ := a.object()["value"].([]any)
				for _, x := range list {
					id := x.(map[string]any)["id"].(string)
					if seen[id] {
						t.Errorf("%s is listed twice", id)
					}
					seen[id] = true
				}
				for range p.random.IntN(3) {
					p.change()
				}
				for id := range always {
					if !p.there[id] {
						delete(always, id)
					}
				}
				next, _ := a.object()["nextLink"].(string)
				link = local(next)
			}
			for id := range always {
				if !seen[id] {
					t.Errorf("%s was there all along and is not listed", id)
				}
			}
		})
	}
}

func copyOfSet(m map[string]bool) map[string]bool {
	c := map[string]bool{}
	for k := range m {
		c[k] = true
	}
	return c
}

// pagedResources makes and deletes disks, disk accesses and key vaults.
type pagedResources struct {
	r      *computeRig
	random *rand.Rand
	there  map[string]bool // ids
	vaults listedVaults
}

func (p *pagedResources) change() {
	name := fmt.Sprintf("n%d", p.random.IntN(8))
	kind := []string{"disks", "diskAccesses", "vaults"}[p.random.IntN(3)]
	id, body := inGroup(kind+"/"+name), disk("", "")
	switch kind {
	case "vaults":
		id = vault.ID{Subscription: testSub, Group: "g", Name: name}.String()
		if p.there[id] {
			delete(p.vaults.names, name)
		} else {
			p.vaults.names[name] = true
		}
		p.flip(id)
		return
	case "diskAccesses":
		body = `{"location":"westus"}`
	}
	method := "PUT"
	if p.there[id] {
		method, body = "DELETE", ""
	}
	p.r.poll(p.r.do(method, id+diskVersion, body))
	p.flip(id)
}

func (p *pagedResources) flip(id string) {
	if p.there[id] {
		delete(p.there, id)
	} else {
		p.there[id] = true
	}
}
