"""The design documents, one folder each (couchapp layout); `make push-views` deploys them."""
