def read_stated(path, name): raise NotImplementedError
