def greeting():
    return "release one "
