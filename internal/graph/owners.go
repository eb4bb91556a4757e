package graph

import "net/http"

// ownerships are what owners of groups may do, and the questions of who they are.
func (h *Handler) ownerships() []operation {
	all := []operation{
		{pattern: "PATCH /groups/{id}", write: true, owned: true, do: h.changeGroup},
		{pattern: "DELETE /groups/{id}", write: true, owned: true, do: h.deleteGroup},
		{pattern: "POST /groups/{id}/members/$ref", write: true, owned: true, do: h.addMember},
		{pattern: "DELETE /groups/{id}/members/{member}/$ref", write: true, owned: true, do: h.removeMember},
		{pattern: "GET /groups/{id}/owners", do: h.owners},
		{pattern: "POST /groups/{id}/owners/$ref", write: true, owned: true, do: h.addOwner},
		{pattern: "DELETE /groups/{id}/owners/{owner}/$ref", write: true, owned: true, do: h.removeOwner},
	}
	for _, of := range []string{"/me", "/users/{id}", "/servicePrincipals/{id}"} {
		all = append(all, operation{pattern: "GET " + of + "/ownedObjects", do: h.owned})
	}
	return all
}

func (h *Handler) owners(c *call) (answer, error) {
	ids, err := h.Identity.Owners(c.id)
	return c.list("directoryObjects", h.objects(ids)), err
}

func (h *Handler) addOwner(c *call) (answer, error) {
	id, err := c.linked()
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, h.Identity.AddOwner(c.id, id)
}

func (h *Handler) removeOwner(c *call) (answer, error) {
	return answer{status: http.StatusNoContent}, h.Identity.RemoveOwner(c.id, c.r.PathValue("owner"))
}

// owned lists what a principal owns: groups.
func (h *Handler) owned(c *call) (answer, error) {
	id, err := h.named(c)
	if err != nil {
		return answer{}, err
	}
	return c.list("directoryObjects", h.objects(h.Identity.Owned(id))), nil
}
