// Package deploy carries out deployments of templates: Microsoft.Resources/deployments.
//
// What a template makes is made by requests like a client's, in the name of the caller who deployed it: the same handlers
// check the same roles, locks and values. A deployment is on record before it is answered, with each resource that is
// done, so that after a restart it goes on; a request that was under way is sent again, which every PUT allows.
package deploy
