package deploy

import (
	"net/http"
	"strings"

	"tintype/internal/arm"
)

const deployments = "Microsoft.Resources/deployments"

// Types are the rows of the router's table.
func (s *Service) Types() []arm.Type {
	t := arm.Type{Namespace: "Microsoft.Resources", Name: "deployments", Global: true, Versions: arm.ResourcesVersions()}
	for _, in := range []func(string) string{arm.InGroup, arm.InSubscription} {
		one := in(deployments + "/{name}")
		get := func(path string, do arm.Handler) {
			t.Operations = append(t.Operations, arm.Operation{Method: http.MethodGet, Path: path, Do: do})
		}
		send := func(method, path string, do arm.Handler) {
			t.Operations = append(t.Operations, arm.Operation{Method: method, Path: path, Do: do, Loose: true})
		}
		get(in(deployments), s.list)
		get(one, s.get)
		send(http.MethodHead, one, s.head)
		send(http.MethodPut, one, s.put)
		send(http.MethodDelete, one, s.delete)
		send(http.MethodPost, one+"/validate", s.validate)
		send(http.MethodPost, one+"/whatIf", s.whatIf)
		send(http.MethodPost, one+"/cancel", s.stop)
		send(http.MethodPost, one+"/exportTemplate", s.export)
		operations := []string{one}
		if strings.Contains(one, "{group}") { // where Azure's specification has them
			operations = append(operations, "/subscriptions/{subscription}/resourceGroups/{group}/deployments/{name}")
		}
		for _, at := range operations {
			get(at+"/operations", s.listOperations)
			get(at+"/operations/{operation}", s.getOperation)
		}
		get(one+"/operationStatuses/{operation}", s.status)
		get(one+"/operationResults/{operation}", s.result)
	}
	hash := arm.Type{
		Namespace: "Microsoft.Resources", Name: "calculateTemplateHash", Global: true, Versions: arm.ResourcesVersions(),
		Operations: []arm.Operation{{
			Method: http.MethodPost, Path: "/providers/Microsoft.Resources/calculateTemplateHash", Unscoped: true, Loose: true, Do: s.hash,
		}},
	}
	return []arm.Type{t, hash}
}
