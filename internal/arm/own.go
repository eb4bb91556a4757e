package arm

const resourcesNamespace = "Microsoft.Resources"

// ownTypes are the types that ARM itself serves.
func (rt *Router) ownTypes() []Type { return nil }
