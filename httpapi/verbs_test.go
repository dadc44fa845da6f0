package httpapi_test

func put(path, json string) call { return call{method: "PUT", path: v1 + path, json: json} }

func patch(path, json string) call { return call{method: "PATCH", path: v1 + path, json: json} }

func fetch(path string) call { return call{method: "GET", path: v1 + path} }

func remove(path string) call { return call{method: "DELETE", path: v1 + path} }
